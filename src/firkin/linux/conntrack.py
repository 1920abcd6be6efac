"""Connection tracking: forgetting flows whose fate was decided under rules that have changed since.

Source: linux/netfilter/nfnetlink_conntrack.h, conntrack(8).
"""

from __future__ import annotations

import socket
import struct

from firkin.linux.netlink_wire import Channel, NetlinkError, attribute, attributes, nested

_NETLINK_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK: IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_DELETE
_TUPLE_ORIGINAL, _ID = 1, 12
_TUPLE_PROTOCOL, _PROTOCOL_NUMBER, _DESTINATION_PORT = 2, 1, 3


def forget_udp(ports: set[int]) -> None:
    """Forget every UDP flow that was sent to one of `ports`; the next packet of it meets the rules as they are now."""
    for family in (socket.AF_INET, socket.AF_INET6):
        header = struct.pack("!BBH", family, 0, 0)
        with Channel(_NETLINK_NETFILTER) as channel:
            for _, body in channel.dump((_GET, 0, header)):
                found = attributes(body[4:])
                if _destination(found[_TUPLE_ORIGINAL]) in ports:
                    tuple_and_id = nested(_TUPLE_ORIGINAL, found[_TUPLE_ORIGINAL]) + attribute(_ID, found[_ID])
                    _forget(channel, header + tuple_and_id)


def _destination(flow: bytes) -> int:
    """The destination port of a UDP flow; 0 for any other."""
    protocol = attributes(attributes(flow)[_TUPLE_PROTOCOL])
    if protocol[_PROTOCOL_NUMBER][0] != socket.IPPROTO_UDP:
        return 0
    return int.from_bytes(protocol[_DESTINATION_PORT], "big")


def _forget(channel: Channel, flow: bytes) -> None:
    try:
        channel.request((_DELETE, 0, flow))
    except NetlinkError:
        pass  # it ended in the meantime
