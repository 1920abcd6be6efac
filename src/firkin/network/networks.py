"""The networks service: the networks themselves (create, list, remove), and through `Connections` who is on them.

Invariant: bridges, firewall tables and records agree; a network that could not be made whole is not there. Running
containers survive the daemon, so bridges and rules do, too, until `close`, the clean stop.
Source: Docker Engine API, "Network"; moby `daemon/network.go`, `libnetwork/drivers/bridge` (defaults, messages).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from firkin.config import DaemonConfig
from firkin.errors import FirkinError, Forbidden, Invalid
from firkin.network import ipam
from firkin.network.addresses import parse_network
from firkin.network.bridge import Bridges
from firkin.network.catalogue import Catalogue, select
from firkin.network.connections import Connections
from firkin.network.endpoints import Endpoints
from firkin.network.firewall import Firewall
from firkin.network.model import BRIDGE_NAME, ENABLE_ICC, ENABLE_MASQUERADE, HOST_BINDING, MTU, Network, NetworkRequest, Subnet
from firkin.network.names import Member
from firkin.network.ports import Elsewhere
from firkin.network.publish import Publisher
from firkin.network.resolution import Resolution
from firkin.paths import Layout

Filters = dict[str, list[str]]

DEFAULT_BRIDGE = "firkin0"
_DEFAULT_BRIDGE_OPTION = "com.docker.network.bridge.default_bridge"


class Networks(Connections):
    """All networks of one engine, in the network namespace of its daemon."""

    def __init__(self, layout: Layout, config: DaemonConfig, engine_id: str, elsewhere: Elsewhere | None = None) -> None:
        self._config = config
        pools = _pools(config.default_address_pools) or ipam.DEFAULT_POOLS
        catalogue = Catalogue(layout.networks, ipam.with_unique_local(pools, engine_id))
        endpoints = Endpoints()
        # Two engines may share a network namespace; one of them finds its own tables again after it was killed.
        suffix = hashlib.sha256(layout.data_root.encode()).hexdigest()[:8]
        self._firewall = Firewall(f"firkin_{suffix}", catalogue, forwards=config.ip_forward)
        resolution = Resolution(config, endpoints.directory)
        super().__init__(catalogue, Bridges(), endpoints, Publisher(self._firewall, elsewhere), resolution)

    @classmethod
    async def open(cls, layout: Layout, config: DaemonConfig, engine_id: str, elsewhere: Elsewhere | None = None) -> Networks:
        """With the records read, the predefined networks and every missing bridge made. Next, `restore` running
        containers, then `settle`: rules that an earlier daemon left stand until then."""
        networks = cls(layout, config, engine_id, elsewhere)
        networks._load()
        return networks

    async def settle(self) -> None:
        """Put the firewall's tables in place, with the ports of restored containers."""
        await self._firewall.apply()
        self._route_loopback(on=True)
        self._publisher.settle()

    async def close(self) -> None:
        """The clean stop: no rule and no held port remains, but for what guards `forwarding`. Bridges stay, as dockerd's do."""
        self._resolution.close()
        self._publisher.close()
        self._route_loopback(on=False)
        await self._firewall.remove()

    async def rules(self) -> dict[str, str]:
        """The engine's tables as the kernel has them now, in nft(8)'s words: table -> text."""
        return await self._firewall.rules()

    def find(self, ref: str) -> Network:
        """By name, id or unambiguous id prefix; raises `NotFound`."""
        return self._catalogue.find(ref)

    def list(self, filters: Filters) -> Sequence[Network]:
        """Those that match `filters` (keys of `GET /networks`), by name."""
        return sorted(select(self._catalogue, filters, self._in_use()), key=lambda network: network.name)

    def members(self, network: Network) -> dict[str, Member]:
        """Running containers on `network`, by id."""
        return self._endpoints.directory.members(network.id)

    async def create(self, request: NetworkRequest) -> Network:
        network = self._catalogue.plan(request, self._bridges.host_routes())
        network = replace(network, bridge_is_ours=not self._bridges.exists(network.bridge))
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._unmake, network)
            self._bridges.ensure(network)
            self._endpoints.add_network(network)
            self._catalogue.save(network)
            await self._firewall.apply()
            self._bridges.route_loopback(network, on=True)
            undo.pop_all()
        return network

    async def remove(self, ref: str) -> Network:
        """The network that was; raises `Forbidden` for one that is predefined or has running containers."""
        network = self._catalogue.find(ref)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        if self.members(network):
            raise Forbidden(f"error while removing network: network {network.name} id {network.id} has active endpoints")
        await self._unmake(network)
        await self._firewall.apply()
        return network

    async def prune(self, filters: Filters, created_before: int = 0) -> Sequence[str]:
        """Remove the user-defined networks no running container is on; their names. `created_before` is ns, 0 for all."""
        wanted = {key: values for key, values in filters.items() if key != "until"}
        removed = []
        for network in self.list({**wanted, "dangling": ["true"]}):
            if not created_before or network.created < created_before:
                try:
                    removed.append((await self.remove(network.id)).name)
                except FirkinError:
                    continue  # a container came first, or another prune
        return removed

    def _load(self) -> None:
        self._catalogue.load()
        self._catalogue.predefine("host")
        self._catalogue.predefine("none")
        if self._config.bridge != "none":
            self._catalogue.predefine("bridge", self._default_bridge())
        elif default := self._catalogue.named("bridge"):
            self._catalogue.drop(default)
        for network in self._catalogue:
            if network.driver == "bridge":
                self._bridges.ensure(network)
                self._endpoints.add_network(network)

    def _route_loopback(self, *, on: bool) -> None:
        for network in self._catalogue:
            if network.driver == "bridge":
                self._bridges.route_loopback(network, on=on)

    def _in_use(self) -> set[str]:
        return {network.id for network in self._catalogue if self.members(network)}

    async def _unmake(self, network: Network) -> None:
        self._catalogue.drop(network)
        self._endpoints.remove_network(network)
        if network.bridge_is_ours:
            await asyncio.to_thread(self._bridges.remove, network)

    def _default_bridge(self) -> Network:
        """The network `bridge` as the daemon's configuration wants it, else as the bridge that is there, else as it was."""
        config, name = self._config, self._config.bridge or DEFAULT_BRIDGE
        present = self._bridges.address_of(name)
        if config.bip and present and present != config.bip:
            self._bridges.drop_address(name, present)
        interface = config.bip or present
        if interface:
            subnet = ipam.complete(Subnet(ipam.network_of(interface), gateway=interface.partition("/")[0]))
        else:
            subnet = self._former_subnet() or ipam.complete(Subnet(self._catalogue.choose_subnet(self._bridges.host_routes())))
        options = {
            _DEFAULT_BRIDGE_OPTION: "true",
            ENABLE_ICC: "true" if config.icc else "false",
            ENABLE_MASQUERADE: "true",
            HOST_BINDING: config.ip,
            BRIDGE_NAME: name,
            MTU: str(config.mtu),
        }
        return Network("", "bridge", 0, subnets=(subnet,), options=options, predefined=True)

    def _former_subnet(self) -> Subnet | None:
        """What `bridge` had before a reboot, if this host has not come to use it otherwise."""
        former = self._catalogue.named("bridge")
        if former is None:
            return None
        try:
            ipam.check_free(former.subnets[0].subnet, self._bridges.host_routes())
        except Forbidden:
            return None
        return former.subnets[0]


def _pools(configured: tuple[dict[str, Any], ...]) -> ipam.Pools:
    """`default-address-pools`: [{"base": "10.10.0.0/16", "size": 24}]."""
    try:
        pools = tuple((parse_network(str(pool["base"])), int(pool["size"])) for pool in configured)
    except (KeyError, ValueError):
        raise Invalid("default-address-pools: want objects with base and size")
    for net, size in pools:
        if not net.prefixlen <= size <= net.max_prefixlen:
            raise Invalid(f"default-address-pools: no subnets of size {size} in {net}")
    return tuple((str(net), size) for net, size in pools)
