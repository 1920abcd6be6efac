"""Address management: which subnet a network gets, which address a container gets. Pure.

Invariants: a subnet overlaps no other network's and no route of the host's; an address is held by one container at a
time, and one given back is the last to be used again (next-fit), so that nobody's stale ARP entry leads astray.
Source: moby `libnetwork/ipam`, `libnetwork/ipamutils` (default pools).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network

from firkin.errors import Forbidden, Invalid, Unavailable
from firkin.network.addresses import parse_address, parse_network
from firkin.network.model import Subnet

Net = IPv4Network | IPv6Network

Pools = tuple[tuple[str, int], ...]
"""(pool, prefix length of the subnets cut from it), in the order of use."""

DEFAULT_POOLS: Pools = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/15", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)


def with_unique_local(pools: Pools, engine_id: str) -> Pools:
    """`pools`, and if none is of IPv6 one of the engine's own: the same for ever, and nobody else's (RFC 4193, 3.2)."""
    if any(ip_network(pool).version == 6 for pool, _ in pools):
        return pools
    global_id = int.from_bytes(hashlib.sha256(engine_id.encode()).digest()[:5], "big")
    return (*pools, (str(IPv6Network((0xFD << 120 | global_id << 80, 48))), 64))


def choose_subnet(taken: Iterable[str], pools: Pools = DEFAULT_POOLS, version: int = 4) -> str:
    """The first subnet of `pools` that overlaps nothing in `taken` (subnets and routes in CIDR form)."""
    others = [ip_network(text) for text in taken]
    for pool, size in ((ip_network(pool), size) for pool, size in pools):
        for candidate in pool.subnets(new_prefix=size) if pool.version == version else ():
            if not any(_overlap(candidate, other) for other in others):
                return str(candidate)
    raise Unavailable("all predefined address pools have been fully subnetted")


def check_free(subnet: str, others: Iterable[str]) -> None:
    """Raise `Forbidden` when `subnet` overlaps another network's."""
    wanted = ip_network(subnet)
    if any(_overlap(wanted, ip_network(other)) for other in others):
        raise Forbidden("Pool overlaps with other one on this address space")


def complete(subnet: Subnet) -> Subnet:
    """`subnet` checked, its CIDRs canonical, and with a gateway: the first address unless one was asked for."""
    net = _network(subnet.subnet, "subnet")
    within = _network(subnet.ip_range, "ip-range") if subnet.ip_range else net
    if not _contains(net, within):
        raise Invalid(f"no matching subnet for range {subnet.ip_range}")
    gateway = subnet.gateway.partition("/")[0] or str(_first_host(net))
    for name, address in {"gateway": gateway, **subnet.auxiliary}.items():
        if _address(address) not in net:
            raise Invalid(f"no matching subnet for {'gateway' if name == 'gateway' else 'aux-address'} {address}")
    return Subnet(str(net), str(within) if subnet.ip_range else "", gateway, subnet.auxiliary)


class AddressPool:
    """The addresses of one subnet. `subnet` must be `complete`."""

    def __init__(self, subnet: Subnet) -> None:
        self.subnet = subnet
        self.network = ip_network(subnet.subnet)
        within = ip_network(subnet.ip_range or subnet.subnet)
        self._first, self._last = int(within[0]), int(within[-1])
        self._next = self._first
        self._taken = {int(self.network[0]), *(int(ip_address(a)) for a in (subnet.gateway, *subnet.auxiliary.values()))}
        if self.network.version == 4 and self.network.prefixlen < 31:
            self._taken.add(int(self.network[-1]))

    def __contains__(self, address: str) -> bool:
        return _address(address) in self.network

    def take(self) -> str:
        """The next free address; raises `Unavailable` when there is none."""
        for candidate in self._candidates():
            if candidate not in self._taken:
                self._taken.add(candidate)
                self._next = candidate + 1
                return str(type(self.network[0])(candidate))
        raise Unavailable(f"no available IPv{self.network.version} addresses on this network's address pools")

    def take_exactly(self, address: str) -> str:
        """`address`, in canonical form; raises `Forbidden` when it is taken."""
        wanted = _address(address)
        if int(wanted) in self._taken:
            raise Forbidden("Address already in use")
        self._taken.add(int(wanted))
        return str(wanted)

    def give(self, address: str) -> None:
        self._taken.discard(int(ip_address(address)))

    def _candidates(self) -> Iterator[int]:
        yield from range(self._next, self._last + 1)
        yield from range(self._first, min(self._next, self._last + 1))


def network_of(interface: str) -> str:
    """The subnet of an address with prefix length: "10.1.0.1/24" is in "10.1.0.0/24"."""
    try:
        return str(ip_interface(interface).network)
    except ValueError:
        raise Invalid(f"invalid CIDR address: {interface}")


def mac_for(ip: str) -> str:
    """An IPv4 address's own MAC: whoever gets the address next is still found under the hardware address others remember."""
    return "02:42:" + ":".join(f"{int(part):02x}" for part in ip.split("."))


def _network(text: str, what: str) -> Net:
    try:
        return parse_network(text)
    except ValueError:
        raise Invalid(f"invalid {what} {text!r}: want a CIDR block")


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return parse_address(text)
    except ValueError:
        raise Invalid(f"invalid IP address: {text}")


def _first_host(net: Net) -> IPv4Address | IPv6Address:
    return net[0] if net.prefixlen >= net.max_prefixlen - 1 else net[1]


def _overlap(a: Net, b: Net) -> bool:
    return a.version == b.version and a.overlaps(b)


def _contains(outer: Net, inner: Net) -> bool:
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
