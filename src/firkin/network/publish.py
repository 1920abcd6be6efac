"""Publishing: a container's ports on this host, from holding the sockets to the rules that lead there.

Invariant: a rule exists only while its port is held; a port is let go only after its rule is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from firkin.errors import FirkinError
from firkin.linux.conntrack import forget_udp
from firkin.model import Container, Endpoint, PortBinding
from firkin.network.bindings import split_port, target, wanted_bindings
from firkin.network.firewall import Firewall
from firkin.network.model import Forward
from firkin.network.ports import Elsewhere, HeldPorts

Ports = dict[str, tuple[PortBinding, ...]]


class Publisher:
    """The published ports of all containers."""

    def __init__(self, firewall: Firewall, elsewhere: Elsewhere | None = None) -> None:
        self._firewall = firewall
        self._held = HeldPorts(elsewhere)
        self._forwards: dict[str, list[Forward]] = {}  # by container id

    async def publish(self, container: Container, endpoint: Endpoint | None, host_ip: str) -> Ports:
        """Publish what `container` wants at `endpoint`'s address, on `host_ip` where it names none. Without an endpoint that
        leads outside nothing is published."""
        bindings = wanted_bindings(container) if endpoint else []
        if endpoint and bindings:
            try:
                forwards = self._held.publish(bindings, endpoint, host_ip)
                self._forwards[container.id] = forwards
                await self._firewall.publish(_by_rules(forwards))
                await _forget_flows(forwards)
            except FirkinError as error:
                await self.withdraw(container.id)
                where = f"endpoint {container.name} ({endpoint.endpoint_id})"
                raise type(error)(f"driver failed programming external connectivity on {where}: {error.message}")
        return _in_effect(container, self._forwards.get(container.id, ()))

    async def withdraw(self, container_id: str) -> None:
        forwards = self._forwards.pop(container_id, [])
        if forwards:
            try:
                await self._firewall.withdraw(forwards)
            finally:
                self._held.release(forwards)
            await _forget_flows(forwards)

    def restore(self, container: Container, endpoint: Endpoint) -> None:
        """Hold again what an earlier daemon published; the firewall's next `apply` knows of it."""
        forwards = []
        for text, bindings in container.ports.items():
            port, protocol = split_port(text)
            for binding in bindings:
                ip = target(binding.host_ip, endpoint, crosses=self._held.crosses)
                forwards.append(Forward(protocol, binding.host_ip, int(binding.host_port), ip, port))
        for forward in forwards:
            self._held.hold_again(forward)
        self._forwards[container.id] = forwards
        self._firewall.remember(_by_rules(forwards))

    def settle(self) -> None:
        """Once all are restored: nothing else is published."""
        self._held.close_others()

    def close(self) -> None:
        self._held.close()


def _by_rules(forwards: Iterable[Forward]) -> list[Forward]:
    """Those for the firewall; the others are carried from elsewhere."""
    return [forward for forward in forwards if not forward.crosses]


def _in_effect(container: Container, forwards: Iterable[Forward]) -> Ports:
    """Every exposed port, with its bindings where it is published."""
    ports: dict[str, list[PortBinding]] = {port: [] for port in container.config.exposed_ports}
    for forward in forwards:
        binding = PortBinding(forward.host_ip, str(forward.host_port))
        ports.setdefault(f"{forward.port}/{forward.protocol}", []).append(binding)
    return {port: tuple(bindings) for port, bindings in ports.items()}


async def _forget_flows(forwards: Iterable[Forward]) -> None:
    """A UDP client that goes on sending keeps its old destination alive in connection tracking: make it look again."""
    ports = {forward.host_port for forward in forwards if forward.protocol == "udp"}
    if ports:
        await asyncio.to_thread(forget_udp, ports)
