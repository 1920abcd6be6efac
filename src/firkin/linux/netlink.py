"""Links, addresses and routes of one network namespace, by name.

Nothing here deletes a container's veth when it ends: the dying namespace takes it along. Several messages of `rtnetlink`
go out in one `request`. Source: rtnetlink(7), netdevice(7).
"""

from __future__ import annotations

import errno
import os
import struct

from firkin.linux import libc, rtnetlink
from firkin.linux import sockets as socket
from firkin.linux.netlink_wire import Channel, NetlinkError
from firkin.linux.syscalls import call, cstring

__all__ = ["LOOPBACK", "Netlink", "NetlinkError"]

# linux/sockios.h, linux/ethtool.h: what is its index? Is the link there?
_SIOCGIFINDEX, _SIOCETHTOOL, _ETHTOOL_GLINK = 0x8933, 0x8946, 0x0A
_LONGEST_NAME = 15
_IFREQ, _IFREQ_INDEX = struct.Struct("=16sQ16x"), struct.Struct("=16xi")  # with an address to send, with an index received
_ETHTOOL_VALUE = struct.Struct("=II")  # command, answer

LOOPBACK = 1
"""Index of `lo` in every network namespace."""


class Netlink(Channel):
    """An rtnetlink socket, bound to the network namespace its thread was in when it was opened.

    Every method raises `NetlinkError`, or OSError ENODEV for a name that is no interface of this thread's namespace."""

    def __enter__(self) -> Netlink:
        return self

    def link_index(self, name: str) -> int:
        index: int = _IFREQ_INDEX.unpack_from(self._ask(_SIOCGIFINDEX, name))[0]
        return index

    def links(self) -> dict[str, int]:
        """Name to index of every link."""
        return dict(rtnetlink.parse_link(body) for _, body in self.dump(rtnetlink.all_links()))

    def create_bridge(self, name: str, mac: str, mtu: int = 0, most_learned: int = 0) -> int:
        """The new bridge's index. See `rtnetlink.bridge`."""
        self.request(rtnetlink.bridge(name, mac, mtu, most_learned))
        return self.link_index(name)

    def create_veth(
        self, host_name: str, bridge: int, guest_name: str, guest_mac: str, mtu: int, *, pid: int = 0, netns: int = -1
    ) -> None:
        """See `rtnetlink.veth`."""
        self.request(rtnetlink.veth(host_name, bridge, guest_name, guest_mac, mtu, pid=pid, netns=netns))

    def delete_link(self, name: str) -> None:
        """Slow (tens of milliseconds): the kernel waits until no CPU uses the link any more."""
        self.request(rtnetlink.link_gone(self.link_index(name)))

    def set_up(self, name: str) -> None:
        self.request(rtnetlink.link_up(self.link_index(name)))

    def rename(self, old: str, new: str) -> None:
        self.request(rtnetlink.link_name(self.link_index(old), new))

    def set_port(self, name: str, hairpin: bool, isolated: bool) -> None:
        """See `rtnetlink.bridge_port`."""
        self.request(rtnetlink.bridge_port(self.link_index(name), hairpin=hairpin, isolated=isolated))

    def settle_carrier(self, name: str) -> None:
        """Have the kernel act now on a carrier that has just come up. By itself it does so a little later, in a worker; until
        then a bridge passes nothing to or from that port, and a first packet lost costs its sender a second."""
        value = libc.create_string_buffer(_ETHTOOL_VALUE.pack(_ETHTOOL_GLINK, 0))
        self._ask(_SIOCETHTOOL, name, libc.addressof(value))

    def _ask(self, question: int, name: str, address: int = 0) -> bytes:
        """The struct ifreq that ioctl(2) leaves behind; netdevice(7)."""
        data = cstring(name)
        if len(data) > _LONGEST_NAME:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
        request = libc.create_string_buffer(_IFREQ.pack(data, address))
        call("ioctl", self.fileno(), question, request, what=name)
        return request.raw

    def addresses(self, family: int = socket.AF_INET) -> list[tuple[int, str, int]]:
        """(link index, address, prefix length) of every address of `family`."""
        return [rtnetlink.parse_address(body) for _, body in self.dump(rtnetlink.all_addresses(family)) if body[0] == family]

    def add_address(self, name: str, ip: str, prefix: int) -> None:
        self.request(rtnetlink.address(self.link_index(name), ip, prefix))

    def delete_address(self, name: str, ip: str, prefix: int) -> None:
        self.request(rtnetlink.address_gone(self.link_index(name), ip, prefix))

    def routes(self, family: int = socket.AF_INET) -> list[tuple[str, int]]:
        """(destination "a.b.c.d/prefix", link index) of every unicast route of `family` in the main table."""
        found = [rtnetlink.parse_route(body) for _, body in self.dump(rtnetlink.all_routes(family)) if body[0] == family]
        return [route for route in found if route]

    def add_route(self, destination: str, gateway: str, name: str) -> None:
        self.request(rtnetlink.route(destination, gateway, self.link_index(name)))

    def delete_route(self, destination: str, gateway: str, name: str) -> None:
        self.request(rtnetlink.route_gone(destination, gateway, self.link_index(name)))
