"""Endpoints: what one container gets on one network, and giving it back.

Invariant: an address is either in an `Endpoint` that is in the directory, or free. All of it is memory; what must survive
the daemon is in the containers' records, and `Endpoints.restore` takes it from there.
Source: moby `libnetwork/endpoint.go`, `daemon/container_operations.go` (messages).
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from ipaddress import ip_address

from firkin.errors import FirkinError, Forbidden, Invalid, Unavailable
from firkin.ids import new_id
from firkin.model import Container, Endpoint, EndpointRequest
from firkin.network.ipam import AddressPool, mac_for
from firkin.network.model import Network
from firkin.network.names import Directory, Member, dns_names

_MAC_DIGITS = 12


class Endpoints:
    """The address pools of all networks, and who is on them."""

    def __init__(self) -> None:
        self.directory = Directory()
        self._pools: dict[str, list[AddressPool]] = {}

    def add_network(self, network: Network) -> None:
        self._pools[network.id] = [AddressPool(subnet) for subnet in network.subnets]

    def remove_network(self, network: Network) -> None:
        self._pools.pop(network.id, None)

    def check(self, network: Network, request: EndpointRequest) -> None:
        """Whether `request` could ever be granted; raises `Invalid`."""
        for address in (request.ipv4_address, request.ipv6_address):
            if address:
                self._pool_of(network, address)
        digits = request.mac_address.replace(":", "").replace("-", "")
        if request.mac_address and (len(digits) != _MAC_DIGITS or int(_hex(digits), 16) >> 40 & 1):
            raise Invalid(f"invalid MAC address: {request.mac_address}")

    def add(self, container: Container, network: Network, request: EndpointRequest, interface: str) -> Endpoint:
        """Give `container` its addresses on `network` and make it known there."""
        self.check(network, request)
        endpoint = Endpoint(network.name, network.id, request, new_id(), dns_names=dns_names(container, request.aliases))
        if network.driver == "bridge":
            endpoint = replace(endpoint, interface=interface, host_interface="veth" + secrets.token_hex(4))
            endpoint = self._addressed(network, endpoint)
        self.directory.add(container.id, Member(container.name, endpoint, network))
        return endpoint

    def restore(self, container: Container, network: Network, endpoint: Endpoint) -> None:
        """Know again an endpoint made by an earlier daemon."""
        for address in (endpoint.ip_address, endpoint.global_ipv6_address):
            pool = next((pool for pool in self._pools.get(network.id, ()) if address and address in pool), None)
            if pool:
                try:
                    pool.take_exactly(address)
                except Forbidden:
                    pass  # two records claim it: the first one keeps it, both containers run
        self.directory.add(container.id, Member(container.name, endpoint, network))

    def remove(self, container_id: str, endpoint: Endpoint) -> None:
        self.directory.remove(container_id, endpoint.network_id)
        self._give_back(endpoint)

    def rename(self, container: Container) -> None:
        """Let others find the container by its new name."""
        for member in self.directory.of(container.id):
            endpoint = replace(member.endpoint, dns_names=dns_names(container, member.endpoint.request.aliases))
            self.directory.add(container.id, Member(container.name, endpoint, member.network))

    def _addressed(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """With an address from each of the network's families; all or none."""
        try:
            for is_ipv6 in (False, True) if network.enable_ipv6 else (False,):
                pool, address = self._take(network, endpoint.request, is_ipv6)
                # The way out of an internal network is none.
                gateway = "" if network.internal else pool.subnet.gateway
                endpoint = _with_address(endpoint, address, pool.network.prefixlen, gateway)
            mac = endpoint.request.mac_address.replace("-", ":").lower()
            return replace(endpoint, mac_address=mac or mac_for(endpoint.ip_address))
        except FirkinError:
            self._give_back(endpoint)
            raise

    def _take(self, network: Network, request: EndpointRequest, is_ipv6: bool) -> tuple[AddressPool, str]:
        wanted = request.ipv6_address if is_ipv6 else request.ipv4_address
        if wanted:
            pool = self._pool_of(network, wanted)
            return pool, pool.take_exactly(wanted)
        for pool in self._pools[network.id]:
            if pool.subnet.is_ipv6 == is_ipv6:
                try:
                    return pool, pool.take()
                except Unavailable:
                    continue
        family = 6 if is_ipv6 else 4
        raise Unavailable(f"no available IPv{family} addresses on this network's address pools: {network.name} ({network.id})")

    def _pool_of(self, network: Network, address: str) -> AddressPool:
        """The pool an asked-for address is from."""
        if network.predefined:
            raise Invalid("user specified IP address is supported on user defined networks only")
        if not network.own_subnet:
            raise Invalid(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
        for pool in self._pools[network.id]:
            if address in pool:
                return pool
        raise Invalid(f"connect to network {network.name}: no configured subnet contains IP address {address}")

    def _give_back(self, endpoint: Endpoint) -> None:
        for address in (endpoint.ip_address, endpoint.global_ipv6_address):
            for pool in self._pools.get(endpoint.network_id, ()) if address else ():
                if address in pool:
                    pool.give(address)


def gateway_endpoint(members: list[Member]) -> Endpoint | None:
    """The endpoint everything else goes through, and where ports are published: not on an internal network, then by the
    highest `gw_priority`, then by the network's name."""
    candidates = [member.endpoint for member in members if member.endpoint.gateway or member.endpoint.ipv6_gateway]
    return min(candidates, key=lambda e: (-e.request.gw_priority, e.network_name), default=None)


def free_interface(members: list[Member]) -> str:
    """The first of eth0, eth1, ... that a container does not have."""
    taken = {member.endpoint.interface for member in members}
    return next(name for name in (f"eth{i}" for i in range(len(taken) + 1)) if name not in taken)


def _with_address(endpoint: Endpoint, address: str, prefix: int, gateway: str) -> Endpoint:
    if ip_address(address).version == 6:
        return replace(endpoint, global_ipv6_address=address, global_ipv6_prefix_len=prefix, ipv6_gateway=gateway)
    return replace(endpoint, ip_address=address, ip_prefix_len=prefix, gateway=gateway)


def _hex(digits: str) -> str:
    try:
        int(digits, 16)
    except ValueError:
        raise Invalid(f"invalid MAC address: {digits}")
    return digits
