"""Just enough nftables for what is done at every start: change a map's elements, redirect a port, without running nft(8).

The functions make netlink messages for one `transaction`. Source: linux/netfilter/nf_tables.h, nfnetlink.h; `nft
--debug=netlink` shows the same expressions for a rule as text.
"""

from __future__ import annotations

import struct

from firkin.linux import sockets as socket
from firkin.linux.netlink_wire import NLM_F_CREATE, NLM_F_EXCL, Message, attribute, batch, nested, text

NETLINK_NETFILTER = 12
NLM_F_APPEND = 0x800

_BATCH_BEGIN, _BATCH_END, _SUBSYSTEM = 0x10, 0x11, 10
_NEWTABLE, _NEWCHAIN, _NEWRULE = _SUBSYSTEM << 8 | 0, _SUBSYSTEM << 8 | 3, _SUBSYSTEM << 8 | 6
_NEWSETELEM, _DELSETELEM = _SUBSYSTEM << 8 | 12, _SUBSYSTEM << 8 | 14
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 1, 3, 4, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_ELEMENTS_TABLE, _ELEMENTS_SET, _ELEMENTS, _ELEMENT_KEY, _ELEMENT_DATA = 1, 2, 3, 1, 2
_LIST_ELEMENT, _EXPRESSION_NAME, _EXPRESSION_DATA, _DATA_VALUE = 1, 1, 2, 1
_HOOK_OUTPUT, _PRIORITY_DSTNAT = 3, -100  # NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_L4PROTO, _NAT_DST, _EQUAL = 16, 1, 0
_REGISTER_1, _REGISTER_2 = 1, 2


def transaction(*messages: Message) -> bytes:
    """`messages`, framed, to be carried out together or not at all (`Channel(NETLINK_NETFILTER).replay`)."""
    mark = struct.pack("!BBH", socket.AF_UNSPEC, 0, _SUBSYSTEM)
    return batch((_BATCH_BEGIN, 0, mark), *messages, (_BATCH_END, 0, mark))


Fields = tuple[bytes, ...]
"""The parts of a concatenation, each in network order: `tcp . 80` is (b"\\x06", b"\\x00\\x50")."""


def add_element(family: int, table_name: str, map_name: str, key: Fields, value: Fields) -> Message:
    """One more element of a map; refused with EEXIST when the key is there."""
    return _element(_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, family, table_name, map_name, key, value)


def delete_element(family: int, table_name: str, map_name: str, key: Fields, value: Fields) -> Message:
    return _element(_DELSETELEM, 0, family, table_name, map_name, key, value)


def table(name: str) -> Message:
    return _message(_NEWTABLE, NLM_F_CREATE, text(_TABLE_NAME, name))


def output_nat_chain(table_name: str, name: str) -> Message:
    """A chain where the destination of what this namespace sends may be changed."""
    hook = nested(_CHAIN_HOOK, _number(_HOOK_NUMBER, _HOOK_OUTPUT), _number(_HOOK_PRIORITY, _PRIORITY_DSTNAT))
    attributes = text(_CHAIN_TABLE, table_name) + text(_CHAIN_NAME, name) + hook + text(_CHAIN_TYPE, "nat")
    return _message(_NEWCHAIN, NLM_F_CREATE, attributes)


def redirect(table_name: str, chain: str, protocol: int, ip: str, port: int, to_port: int) -> Message:
    """A rule: `ip daddr IP meta l4proto PROTOCOL th dport PORT dnat to IP:TO_PORT`."""
    address = socket.inet_aton(ip)
    expressions = (
        _payload(_NETWORK_HEADER, 16, 4),
        _compare(address),
        _expression("meta", _number(1, _REGISTER_1), _number(2, _META_L4PROTO)),
        _compare(bytes([protocol])),
        _payload(_TRANSPORT_HEADER, 2, 2),
        _compare(struct.pack("!H", port)),
        _expression("immediate", _number(1, _REGISTER_1), nested(2, attribute(_DATA_VALUE, address))),
        _expression("immediate", _number(1, _REGISTER_2), nested(2, attribute(_DATA_VALUE, struct.pack("!H", to_port)))),
        _expression("nat", _number(1, _NAT_DST), _number(2, socket.AF_INET), _number(3, _REGISTER_1), _number(5, _REGISTER_2)),
    )
    attributes = text(_RULE_TABLE, table_name) + text(_RULE_CHAIN, chain) + nested(_RULE_EXPRESSIONS, *expressions)
    return _message(_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, attributes)


def _message(kind: int, flags: int, attributes: bytes, family: int = socket.AF_INET) -> Message:
    return kind, flags, struct.pack("!BBH", family, 0, 0) + attributes


def _element(kind: int, flags: int, family: int, table_name: str, map_name: str, key: Fields, value: Fields) -> Message:
    pair = nested(_ELEMENT_KEY, _concatenated(key)) + nested(_ELEMENT_DATA, _concatenated(value))
    attributes = text(_ELEMENTS_TABLE, table_name) + text(_ELEMENTS_SET, map_name)
    return _message(kind, flags, attributes + nested(_ELEMENTS, nested(_LIST_ELEMENT, pair)), family)


def _concatenated(fields: Fields) -> bytes:
    """Each field fills whole 32-bit registers."""
    return attribute(_DATA_VALUE, b"".join(field + bytes(-len(field) % 4) for field in fields))


def _payload(header: int, offset: int, length: int) -> bytes:
    """Load bytes of the packet into register 1."""
    return _expression("payload", _number(1, _REGISTER_1), _number(2, header), _number(3, offset), _number(4, length))


def _compare(value: bytes) -> bytes:
    """Go on only if register 1 holds `value`."""
    return _expression("cmp", _number(1, _REGISTER_1), _number(2, _EQUAL), nested(3, attribute(_DATA_VALUE, value)))


def _expression(name: str, *data: bytes) -> bytes:
    return nested(_LIST_ELEMENT, text(_EXPRESSION_NAME, name), nested(_EXPRESSION_DATA, *data))


def _number(kind: int, value: int) -> bytes:
    """nf_tables numbers are in network order."""
    return attribute(kind, struct.pack("!i", value))
