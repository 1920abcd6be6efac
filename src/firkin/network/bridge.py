"""Linux bridges: one for each bridge network, its gateway address on it.

Invariant: a bridge outlives the daemon, and one that is there already is used as it is. Synchronous (about 1 ms), for
creating a network is not on any container's path. Source: moby `libnetwork/drivers/bridge/setup_*.go`.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
from ipaddress import ip_network

from firkin.errors import Internal, reason
from firkin.linux.netlink import Netlink
from firkin.network.model import Network

# The kernel remembers each sender's address for five minutes, in memory that is nobody's. A bridge has at most 1024 ports:
# a wire with more senders than this has a liar on it.
_MOST_LEARNED = 4096


class Bridges:
    """The bridges of this network namespace."""

    def __init__(self) -> None:
        self._netlink = Netlink()
        self._indexes: dict[str, int] = {}  # network id -> interface index

    def index(self, network: Network) -> int:
        return self._indexes[network.id]

    def ensure(self, network: Network) -> None:
        """Make the network's bridge, or complete the one that is there."""
        name = network.bridge
        try:
            self._indexes[network.id] = self._create(name, network.mtu)
            for subnet in network.subnets:
                self._address(name, subnet.gateway, ip_network(subnet.subnet).prefixlen)
            self._netlink.set_up(name)
        except OSError as error:
            raise Internal(f"create bridge {name}: {reason(error)}")

    def route_loopback(self, network: Network, *, on: bool) -> None:
        """Let a redirected packet from 127.0.0.1 leave by it, and its answer come back. Only while `rules` are there to guard
        against abuse: otherwise whoever is on this wire reaches what the host keeps to itself (CVE-2020-8558)."""
        try:
            _write(f"net/ipv4/conf/{network.bridge}/route_localnet", "1" if on else "0")
        except FileNotFoundError:
            pass  # somebody has removed the bridge
        except OSError as error:
            raise Internal(f"route loopback addresses on {network.bridge}: {reason(error)}")

    def remove(self, network: Network) -> None:
        self._indexes.pop(network.id, None)
        self.delete_interface(network.bridge)

    def delete_interface(self, name: str) -> None:
        """Slow (see `Netlink.delete_link`); one that is gone already is fine."""
        with Netlink() as netlink:
            try:
                netlink.delete_link(name)
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.ENXIO):
                    raise Internal(f"delete interface {name}: {reason(error)}")

    def exists(self, name: str) -> bool:
        return name in self._netlink.links()

    def drop_address(self, name: str, interface: str) -> None:
        ip, _, prefix = interface.partition("/")
        self._netlink.delete_address(name, ip, int(prefix))

    def address_of(self, name: str) -> str:
        """The first IPv4 address of an interface as "a.b.c.d/prefix"; "" if it has none or does not exist."""
        index = self._netlink.links().get(name)
        return next((f"{ip}/{prefix}" for i, ip, prefix in self._netlink.addresses() if i == index), "")

    def host_routes(self) -> list[str]:
        """What this host reaches directly or by a route of its own, default routes aside."""
        routes = self._netlink.routes() + self._netlink.routes(socket.AF_INET6)
        return [destination for destination, _ in routes if not destination.endswith("/0")]

    def _create(self, name: str, mtu: int) -> int:
        present = self._netlink.links().get(name)
        if present:
            return present
        # An address of its own, locally administered: containers keep it in their ARP caches.
        index = self._netlink.create_bridge(name, "02:42:" + secrets.token_bytes(4).hex(":"), mtu, _MOST_LEARNED)
        _believe_no_routers(name)
        return index

    def _address(self, name: str, ip: str, prefix: int) -> None:
        try:
            self._netlink.add_address(name, ip, prefix)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise


def _believe_no_routers(name: str) -> None:
    """Whoever says on this wire that it is one is a container (CVE-2020-13401)."""
    _write(f"net/ipv4/conf/{name}/accept_redirects", "0")
    if os.path.exists(f"/proc/sys/net/ipv6/conf/{name}"):
        for key in ("accept_ra", "accept_redirects"):
            _write(f"net/ipv6/conf/{name}/{key}", "0")


def _write(key: str, value: str) -> None:
    with open(os.path.join("/proc/sys", key), "w", encoding="ascii") as file:
        file.write(value)
