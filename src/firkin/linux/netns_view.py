"""The links and addresses of another network namespace, as seen from this one, which is not left for it.

The kernel answers for a namespace it has a number for here, which it has once a veth pair leads there.
Source: rtnetlink(7); linux/net_namespace.h, linux/if_link.h (IFLA_TARGET_NETNSID), linux/if_addr.h.
"""

from __future__ import annotations

import socket
import struct

from firkin.linux.netlink_wire import Channel, Message, attributes, number

_RTM_GETLINK, _RTM_GETADDR, _RTM_GETNSID = 18, 22, 90
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINK_NETNSID, _IFLA_TARGET_NETNSID = 1, 3, 5, 10, 37, 46
_IFA_ADDRESS, _IFA_LOCAL, _IFA_TARGET_NETNSID = 1, 2, 10
_NETNSA_NSID, _NETNSA_PID = 1, 2
_NETLINK_GET_STRICT_CHK = 12
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_IFF_UP = 1


class Link:
    """`peer` is the index of a veth's other end, in the namespace number `peer_namespace` (-1: this one)."""

    __slots__ = ("index", "mac", "master", "name", "peer", "peer_namespace", "up")

    def __init__(self, body: bytes) -> None:
        _, _, self.index, flags, _ = _LINK.unpack_from(body)
        found = attributes(body[_LINK.size :])
        self.name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode("ascii", "replace")
        self.mac = found.get(_IFLA_ADDRESS, b"").hex(":")
        self.master = _integer(found.get(_IFLA_MASTER), 0)
        self.peer = _integer(found.get(_IFLA_LINK), 0)
        self.peer_namespace = _integer(found.get(_IFLA_LINK_NETNSID), -1)
        self.up = bool(flags & _IFF_UP)


def open_channel() -> Channel:
    """A socket on which the kernel minds what namespace is asked about."""
    channel = Channel()
    channel.set_option(_NETLINK_GET_STRICT_CHK)
    return channel


def namespace_number(channel: Channel, pid: int) -> int:
    """The number that this namespace has for that of process `pid`, -1 for none."""
    message: Message = (_RTM_GETNSID, 0, struct.pack("=B3x", socket.AF_UNSPEC) + number(_NETNSA_PID, pid))
    answer = channel.ask(message)
    return _integer(attributes(answer[4:]).get(_NETNSA_NSID), -1)


def links(channel: Channel, namespace: int = -1) -> list[Link]:
    """Those of namespace number `namespace`, or of our own."""
    body = _LINK.pack(0, 0, 0, 0, 0) + (number(_IFLA_TARGET_NETNSID, namespace) if namespace >= 0 else b"")
    return [Link(answer) for _, answer in channel.dump((_RTM_GETLINK, 0, body))]


def addresses(channel: Channel, namespace: int) -> list[tuple[int, str]]:
    """(link index, "ADDRESS/PREFIX") in namespace number `namespace`, of both families."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        body = _ADDRESS.pack(family, 0, 0, 0, 0) + number(_IFA_TARGET_NETNSID, namespace)
        for _, answer in channel.dump((_RTM_GETADDR, 0, body)):
            kind, prefix, _, _, index = _ADDRESS.unpack_from(answer)
            if kind == family:
                held = attributes(answer[_ADDRESS.size :])
                packed = held.get(_IFA_LOCAL) or held[_IFA_ADDRESS]
                found.append((index, f"{socket.inet_ntop(family, packed)}/{prefix}"))
    return found


def _integer(data: bytes | None, absent: int) -> int:
    value: int = struct.unpack("=i", data)[0] if data else absent
    return value
