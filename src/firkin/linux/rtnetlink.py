"""Links, addresses and routes as rtnetlink messages.

A container's whole wiring on the host is one message (`veth`), and what remains inside its namespace fits in one send.
Source: rtnetlink(7), linux/if_link.h, linux/if_addr.h, linux/rtnetlink.h, drivers/net/veth.c (VETH_INFO_PEER).
"""

from __future__ import annotations

import struct

from firkin.linux import sockets as socket
from firkin.linux.netlink_wire import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    attribute,
    attributes,
    nested,
    number,
    text,
)

# linux/rtnetlink.h
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK = 16, 17, 18, 19
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RTN_UNICAST = 254, 3, 0, 253, 1
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RTM_NEWRULE, _RT_SCOPE_HOST, _RTN_LOCAL = 32, 254, 2
# linux/fib_rules.h
_FR_ACT_TO_TBL, _FRA_FWMARK, _FRA_TABLE = 1, 10, 15
# linux/if_link.h
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_PROTINFO = 1, 3, 4, 10, 12
_IFLA_LINKINFO, _IFLA_NET_NS_PID, _IFLA_NET_NS_FD = 18, 19, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_BRPORT_MODE, _IFLA_BRPORT_ISOLATED = 4, 33
_IFLA_BR_FDB_MAX_LEARNED = 49
_VETH_INFO_PEER = 1
_IFF_UP = 1
# linux/if_addr.h
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_IFA_F_NODAD, _IFA_F_PERMANENT, _IFA_F_NOPREFIXROUTE = 0x02, 0x80, 0x200

_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, mask of flags
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_RULE = struct.Struct("=BBBBBxxBI")  # family, dst length, src length, tos, table, action, flags
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst length, src length, tos, table, protocol, scope, type, flags


# --- links ---------------------------------------------------------------------------------------------------------
def veth(host_name: str, master: int, guest_name: str, guest_mac: str, mtu: int, *, pid: int = 0, netns: int = -1) -> Message:
    """A veth pair, whole: the host's end up and in the bridge with index `master`, the other called `guest_name` in the
    network namespace of process `pid` or of descriptor `netns`. The kernel chooses for `guest_mac` "" and `mtu` 0."""
    size = number(_IFLA_MTU, mtu) if mtu else b""
    where = number(_IFLA_NET_NS_FD, netns) if netns >= 0 else number(_IFLA_NET_NS_PID, pid)
    peer = _LINK.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, guest_name) + size + where
    if guest_mac:
        peer += _hardware(guest_mac)
    body = _LINK.pack(0, 0, 0, _IFF_UP, _IFF_UP) + text(_IFLA_IFNAME, host_name) + size + number(_IFLA_MASTER, master)
    data = nested(_IFLA_INFO_DATA, nested(_VETH_INFO_PEER, peer))
    return _RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, "veth"), data)


def bridge(name: str, mac: str, mtu: int, most_learned: int = 0) -> Message:
    """A bridge, up. With a MAC address of its own it does not take over (and change with) those of its ports. It learns
    `most_learned` addresses of others; 0 for any number, as with any before Linux 6.8."""
    size = number(_IFLA_MTU, mtu) if mtu else b""
    body = _LINK.pack(0, 0, 0, _IFF_UP, _IFF_UP) + text(_IFLA_IFNAME, name) + _hardware(mac) + size
    data = nested(_IFLA_INFO_DATA, number(_IFLA_BR_FDB_MAX_LEARNED, most_learned))
    return _RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, "bridge"), data)


def link_up(index: int) -> Message:
    return _RTM_NEWLINK, 0, _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP)


def link_name(index: int, name: str) -> Message:
    """A new name for a link that is down."""
    return _RTM_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + text(_IFLA_IFNAME, name)


def link_into(index: int, netns: int, name: str) -> Message:
    """Move a link into the namespace open as `netns`, where it is down, without addresses, and called `name`; with "%d" in
    it the kernel puts a free number there."""
    return _RTM_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + number(_IFLA_NET_NS_FD, netns) + text(_IFLA_IFNAME, name)


def link_gone(index: int) -> Message:
    return _RTM_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0)


def bridge_port(index: int, *, hairpin: bool, isolated: bool) -> Message:
    """Settings of a bridge's port: whether frames may go back where they came from, and whether the port exchanges frames
    with the bridge's own interface only, not with other isolated ports."""
    modes = attribute(_IFLA_BRPORT_MODE, bytes([hairpin])) + attribute(_IFLA_BRPORT_ISOLATED, bytes([isolated]))
    return _RTM_SETLINK, 0, _LINK.pack(socket.AF_BRIDGE, 0, index, 0, 0) + nested(_IFLA_PROTINFO, modes)


def all_links() -> Message:
    return _RTM_GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0)


def parse_link(body: bytes) -> tuple[str, int]:
    """Name and index."""
    return attributes(body[_LINK.size :])[_IFLA_IFNAME].rstrip(b"\0").decode(), _LINK.unpack_from(body)[2]


def _hardware(mac: str) -> bytes:
    return attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))


# --- addresses -----------------------------------------------------------------------------------------------------
def address(index: int, ip: str, prefix: int) -> Message:
    """`ip`/`prefix` on a link. An IPv6 address is usable at once (no duplicate address detection)."""
    family, packed = _packed(ip)
    flags = _IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _ADDRESS.pack(family, prefix, flags, _RT_SCOPE_UNIVERSE, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if family == socket.AF_INET and prefix < 31:
        every_host = struct.unpack("!I", packed)[0] | (1 << (32 - prefix)) - 1
        body += attribute(_IFA_BROADCAST, struct.pack("!I", every_host))
    return _RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body


def address_gone(index: int, ip: str, prefix: int) -> Message:
    return _RTM_DELADDR, 0, address(index, ip, prefix)[2]


def all_addresses(family: int) -> Message:
    return _RTM_GETADDR, 0, _ADDRESS.pack(family, 0, 0, 0, 0)


def parse_address(body: bytes) -> tuple[int, str, int]:
    """Link index, address, prefix length."""
    family, prefix, _, _, index = _ADDRESS.unpack_from(body)
    found = attributes(body[_ADDRESS.size :])
    return index, socket.inet_ntop(family, found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]), prefix


def lasting_address(body: bytes, link: int) -> bytes:
    """`body`, one answer to `all_addresses`, as `same_address` wants it, if that address is of link number `link`, was given
    for good (not by DHCP or the like), and is valid everywhere; else b""."""
    family, prefix, _, scope, index = _ADDRESS.unpack_from(body)
    found = attributes(body[_ADDRESS.size :])
    flags = int.from_bytes(found.get(_IFA_FLAGS, body[2:3]), "little")
    if index != link or scope != _RT_SCOPE_UNIVERSE or not flags & _IFA_F_PERMANENT:
        return b""
    kept = [attribute(kind, found[kind]) for kind in (_IFA_LOCAL, _IFA_ADDRESS, _IFA_BROADCAST) if kind in found]
    # It has been found to be nobody else's already.
    nodad = _IFA_F_NODAD if family == socket.AF_INET6 else 0
    wanted = number(_IFA_FLAGS, flags & _IFA_F_NOPREFIXROUTE | nodad)
    return struct.pack("=BBBB", family, prefix, 0, scope) + b"".join([*kept, wanted])


def same_address(kept: bytes, link: int) -> Message:
    """Give link number `link` the address that `lasting_address` found."""
    return _RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, kept[:4] + struct.pack("=I", link) + kept[4:]


# --- routes --------------------------------------------------------------------------------------------------------
def route(destination: str, gateway: str, index: int) -> Message:
    """A route to `destination` ("0.0.0.0/0" form) over `gateway`; with gateway "" the destination is on the
    link itself. It takes the place of a route to the same destination."""
    network, _, prefix = destination.partition("/")
    family, packed = _packed(network)
    scope = _RT_SCOPE_UNIVERSE if gateway or family == socket.AF_INET6 else _RT_SCOPE_LINK
    body = _ROUTE.pack(family, int(prefix), 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, scope, _RTN_UNICAST, 0)
    body += attribute(_RTA_DST, packed) if int(prefix) else b""
    body += attribute(_RTA_GATEWAY, _packed(gateway)[1]) if gateway else b""
    return _RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body + number(_RTA_OIF, index)


def marked_uses(family: int, mark: int, table: int) -> Message:
    """A rule: the routes for packets with `mark` are those of `table`."""
    body = _RULE.pack(family, 0, 0, 0, table, _FR_ACT_TO_TBL, 0) + number(_FRA_FWMARK, mark) + number(_FRA_TABLE, table)
    return _RTM_NEWRULE, NLM_F_CREATE, body


def everything_local(family: int, index: int, table: int) -> Message:
    """A route in `table` by which every address is one of this machine's, on link number `index`."""
    body = _ROUTE.pack(family, 0, 0, 0, table, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, 0)
    return _RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body + number(_RTA_OIF, index)


def route_gone(destination: str, gateway: str, index: int) -> Message:
    return _RTM_DELROUTE, 0, route(destination, gateway, index)[2]


def all_routes(family: int) -> Message:
    return _RTM_GETROUTE, 0, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)


def parse_route(body: bytes) -> tuple[str, int] | None:
    """("a.b.c.d/prefix", link index, 0 if there are several); None unless it is a unicast route of the main table."""
    family, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
    if table != _RT_TABLE_MAIN or kind != _RTN_UNICAST:
        return None
    found = attributes(body[_ROUTE.size :])
    network = found.get(_RTA_DST, bytes(16 if family == socket.AF_INET6 else 4))
    index = struct.unpack("=I", found.get(_RTA_OIF, bytes(4)))[0]
    return f"{socket.inet_ntop(family, network)}/{prefix}", index


def _packed(ip: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return family, socket.inet_pton(family, ip)
