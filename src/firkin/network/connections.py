"""Connections: a container and its networks, from start to end.

Invariant: whatever a container got is given back by one `release`, and a failed call leaves nothing behind. On the path of
a plain start nothing here waits: addresses come from memory, and only published ports need nft(8).
Source: moby `daemon/container_operations.go` (also the messages).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from firkin.errors import Forbidden, Invalid, NotFound
from firkin.model import Container, Endpoint, EndpointRequest
from firkin.network import dns, steps
from firkin.network.bridge import Bridges
from firkin.network.catalogue import Catalogue
from firkin.network.endpoints import Endpoints, free_interface, gateway_endpoint
from firkin.network.model import HOST_BINDING, Attachment, Network, Step
from firkin.network.names import Member
from firkin.network.publish import Ports, Publisher
from firkin.network.resolution import Resolution


class Connections:
    """All connections of one engine."""

    def __init__(
        self, catalogue: Catalogue, bridges: Bridges, endpoints: Endpoints, publisher: Publisher, resolution: Resolution
    ) -> None:
        self._catalogue = catalogue
        self._bridges = bridges
        self._endpoints = endpoints
        self._publisher = publisher
        self._resolution = resolution

    async def acquire(self, container: Container) -> Attachment:
        """Everything a start needs on the networks of `container.endpoints`, in the order of eth0, eth1, ..."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.release, container.id)
            members = [self._join(container, endpoint) for endpoint in container.endpoints.values()]
            ports = await self._publish(container)
            undo.pop_all()
        parent = [step for member in members for step in self._host_steps(container, member)]
        return self._attachment(container, ports, parent, _inside(container, members))

    async def release(self, container_id: str) -> None:
        """Give back all that `acquire` and `connect` got. The interfaces go by themselves, with the container's namespace."""
        self._resolution.stop(container_id)
        try:
            await self._publisher.withdraw(container_id)
        finally:
            for member in self._members(container_id):
                self._endpoints.remove(container_id, member.endpoint)

    def restore(self, container: Container) -> bool:
        """Take over a running container from an earlier daemon; whether its DNS sockets must be made anew: run
        `dns.SOCKETS` in its namespace and call `serve_names`."""
        for endpoint in container.endpoints.values():
            network = self._network_of(endpoint)
            self._endpoints.restore(container, network, endpoint)
        gateway = gateway_endpoint(self._members(container.id))
        if gateway:
            self._publisher.restore(container, gateway)
        return any(member.network.resolves_names for member in self._members(container.id))

    async def connect(self, container: Container, network: Network, request: EndpointRequest, netns: str) -> Attachment:
        """One more network. For a running container the steps do it, in its namespace, which their plan calls `netns`."""
        self._check_connect(container, network)
        self._endpoints.check(network, request)
        if not container.state.pid:
            planned = Endpoint(network.name, network.id, request)
            return Attachment({**container.endpoints, network.name: planned}, container.ports)
        before = self._members(container.id)
        interface = free_interface(before)
        endpoint = self._endpoints.add(container, network, request, interface)
        async with AsyncExitStack() as undo:
            undo.callback(self._endpoints.remove, container.id, endpoint)
            ports = await self._gateway_changed(container, gateway_endpoint(before))
            undo.pop_all()
        new = next(member for member in self._members(container.id) if member.network.id == network.id)
        child = [*steps.interface_steps(endpoint), *steps.carrier([endpoint])]
        child += _new_gateway(before, self._members(container.id))
        if network.resolves_names and not self._resolution.serves(container.id):
            child += [dns.REDIRECTION, dns.SOCKETS]
        return self._attachment(container, ports, self._host_steps(container, new, netns), child)

    async def disconnect(self, container: Container, network: Network) -> Attachment:
        """One network less. For a running container the steps set its new default route, if that changes."""
        if network.name not in container.endpoints:
            raise Forbidden(f"container {container.id} is not connected to network {network.name}")
        if network.driver == "host":
            raise Invalid("container cannot be disconnected from host network or connected to host network")
        before = self._members(container.id)
        gone = next((member.endpoint for member in before if member.network.id == network.id), None)
        if gone is None:  # not running
            rest = {name: endpoint for name, endpoint in container.endpoints.items() if name != network.name}
            return Attachment(rest, container.ports)
        self._endpoints.remove(container.id, gone)
        ports = await self._gateway_changed(container, gateway_endpoint(before))
        if gone.host_interface:
            await asyncio.to_thread(self._bridges.delete_interface, gone.host_interface)
        return self._attachment(container, ports, [], _new_gateway(before, self._members(container.id)))

    def renamed(self, container: Container) -> None:
        """Others find a running container by its new name from now on."""
        self._endpoints.rename(container)

    async def serve_names(self, container: Container, sockets: Sequence[int]) -> None:
        """Answer a container's DNS queries on the sockets its plan made; they become ours."""
        await self._resolution.serve(container, sockets)

    def hosts_file(self, container: Container) -> str:
        """The text of /etc/hosts, once its addresses are acquired."""
        bridge = self._catalogue.named("bridge")
        return self._resolution.hosts(container, bridge.subnets[0].gateway if bridge else "")

    def resolv_conf(self, container: Container) -> str:
        """The text of /etc/resolv.conf, once its networks are acquired."""
        return self._resolution.resolv_conf(container)

    def _members(self, container_id: str) -> list[Member]:
        return self._endpoints.directory.of(container_id)

    def _network_of(self, endpoint: Endpoint) -> Network:
        """By id; by name if a network of that name was made anew."""
        try:
            return self._catalogue.find(endpoint.network_id or endpoint.network_name)
        except NotFound:
            return self._catalogue.find(endpoint.network_name)

    def _join(self, container: Container, endpoint: Endpoint) -> Member:
        network = self._network_of(endpoint)
        interface = free_interface(self._members(container.id))
        return Member(container.name, self._endpoints.add(container, network, endpoint.request, interface), network)

    async def _publish(self, container: Container) -> Ports:
        gateway = gateway_endpoint(self._members(container.id))
        network = self._catalogue.find(gateway.network_id) if gateway else None
        return await self._publisher.publish(container, gateway, (network and network.options.get(HOST_BINDING)) or "0.0.0.0")

    async def _gateway_changed(self, container: Container, before: Endpoint | None) -> Ports:
        """Ports follow the gateway: published anew if it is not the one it was `before`."""
        after = gateway_endpoint(self._members(container.id))
        if (after and after.endpoint_id) == (before and before.endpoint_id):
            return container.ports
        await self._publisher.withdraw(container.id)
        return await self._publish(container)

    def _host_steps(self, container: Container, member: Member, netns: str = "") -> list[Step]:
        network, publishes = member.network, bool(container.host.port_bindings or container.host.publish_all_ports)
        if network.driver != "bridge":
            return []
        return steps.host_steps(network, self._bridges.index(network), member.endpoint, netns=netns, publishes=publishes)

    def _attachment(self, container: Container, ports: Ports, parent: list[Step], child: list[Step]) -> Attachment:
        endpoints = {member.network.name: member.endpoint for member in self._members(container.id)}
        return Attachment(endpoints, ports, tuple(parent), tuple(child), resolves=dns.SOCKETS in child)

    def _check_connect(self, container: Container, network: Network) -> None:
        mode = container.host.network_mode
        if "host" in (mode, network.name):
            raise Invalid("container cannot be disconnected from host network or connected to host network")
        if mode.startswith("container:"):
            raise Invalid(
                "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        if "none" in (*container.endpoints, network.name):
            raise Invalid("container cannot be connected to multiple networks with one of the networks in private (none) mode")
        if network.name in container.endpoints:
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")


def _inside(container: Container, members: list[Member]) -> list[Step]:
    """The child's half of a start."""
    if container.host.network_mode.startswith("container:") or any(member.network.driver == "host" for member in members):
        return []
    child = [steps.LOOPBACK_UP]
    for member in members:
        child += steps.interface_steps(member.endpoint) if member.network.driver == "bridge" else []
    child += steps.carrier(member.endpoint for member in members)
    child += steps.default_routes(gateway_endpoint(members))
    if any(member.network.resolves_names for member in members):
        child += [dns.REDIRECTION, dns.SOCKETS]
    return child


def _new_gateway(before: list[Member], after: list[Member]) -> list[Step]:
    old, new = gateway_endpoint(before), gateway_endpoint(after)
    return steps.default_routes(new) if new and (old is None or new.endpoint_id != old.endpoint_id) else []
