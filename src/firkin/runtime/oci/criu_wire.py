"""CRIU's messages, as far as they are spoken here: protocol buffers, written and read by tables of fields.

A table says field -> (number, kind), the kind being BOOL, INT, TEXT or the table of a message within. The invariant:
`decode` returns what the table promises, or raises `Internal`, whatever the bytes are.
Source: criu images/rpc.proto; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from firkin.errors import Internal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

BOOL, INT, TEXT = "bool", "int", "text"
_PAIR = {"key": (1, TEXT), "val": (2, TEXT)}
_INHERITED = {"key": (1, TEXT), "fd": (2, INT)}
_CGROUP = {"ctrl": (1, TEXT), "path": (2, TEXT)}
_JOINED = {"ns": (1, TEXT), "ns_file": (2, TEXT)}
_PAGE_SERVER = {"address": (1, TEXT), "port": (2, INT)}
_OPTIONS = {
    "images_dir_fd": (1, INT), "pid": (2, INT), "leave_running": (3, BOOL), "ext_unix_sk": (4, BOOL),
    "tcp_established": (5, BOOL), "evasive_devices": (6, BOOL), "shell_job": (7, BOOL), "file_locks": (8, BOOL),
    "log_level": (9, INT), "log_file": (10, TEXT), "ps": (11, _PAGE_SERVER), "notify_scripts": (12, BOOL),
    "root": (13, TEXT), "parent_img": (14, TEXT), "track_mem": (15, BOOL), "auto_dedup": (16, BOOL),
    "work_dir_fd": (17, INT), "link_remap": (18, BOOL), "ext_mnt": (23, _PAIR), "cg_root": (25, _CGROUP),
    "rst_sibling": (26, BOOL), "inherit_fd": (27, _INHERITED), "manage_cgroups_mode": (34, INT), "external": (37, TEXT),
    "empty_ns": (38, INT), "join_ns": (39, _JOINED), "freeze_cgroup": (44, TEXT), "tcp_skip_in_flight": (46, BOOL),
    "lazy_pages": (48, BOOL), "orphan_pts_master": (50, BOOL), "config_file": (51, TEXT), "lsm_profile": (53, TEXT),
    "lsm_mount_context": (63, TEXT), "network_lock": (64, INT),
}  # fmt: skip
_FEATURES = {"mem_track": (1, BOOL), "lazy_pages": (2, BOOL)}
REQUEST = {"type": (1, INT), "opts": (2, _OPTIONS), "notify_success": (3, BOOL), "features": (5, _FEATURES)}
_NOTIFY = {"script": (1, TEXT), "pid": (2, INT)}
RESPONSE = {
    "type": (1, INT), "success": (2, BOOL), "restore": (4, {"pid": (1, INT)}), "notify": (5, _NOTIFY),
    "features": (8, _FEATURES), "cr_errmsg": (9, TEXT),
}  # fmt: skip
DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK = 1, 2, 4, 6, 9  # enum criu_req_type

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10  # bytes: 64 bits in groups of 7


def encode(table: Mapping[str, Any], values: Mapping[str, Any]) -> bytes:
    """A list is a repeated field; None one that is not set."""
    parts = []
    for name, value in values.items():
        number, kind = table[name]
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            parts.append(_field(number, kind, one))
    return b"".join(parts)


def _field(number: int, kind: Any, value: Any) -> bytes:
    if kind in (BOOL, INT):
        return _varint(number << 3 | _VARINT) + _varint(int(value))
    data = value.encode("utf-8", "surrogateescape") if kind == TEXT else encode(kind, value)
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    rest, found = value & (1 << 64) - 1, bytearray()  # a negative number is written as 64 bits
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*found, rest])


def decode(table: Mapping[str, Any], data: bytes) -> dict[str, Any]:
    """The fields that are set and known, of a repeated one the last. Raises `Internal`."""
    known = {number: (name, kind) for name, (number, kind) in table.items()}
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number in known:
            name, kind = known[number]
            if isinstance(value, bytes) is (kind in (BOOL, INT)):
                raise Internal(f"CRIU's answer: field {name} is of another kind")
            found[name] = _value(kind, value)
    return found


def _value(kind: Any, value: Any) -> Any:
    if kind == BOOL:
        return bool(value)
    if kind == INT:
        return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000  # the low 32 bits, the highest of them the sign
    return value.decode("utf-8", "backslashreplace") if kind == TEXT else decode(kind, value)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        wire = key & 7
        if wire == _VARINT:
            value, place = _read_varint(data, place)
            yield key >> 3, value
            continue
        size = _FIXED.get(wire)
        if wire == _BYTES:
            size, place = _read_varint(data, place)
        if size is None:
            raise Internal(f"CRIU's answer: there is no wire type {wire}")
        if size > len(data) - place:
            raise Internal("CRIU's answer: it ends within a field")
        yield key >> 3, data[place : place + size]
        place += size


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    """(number, the place after it)."""
    value = 0
    for shift, byte in enumerate(data[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & (1 << 64) - 1, place + shift + 1
    raise Internal("CRIU's answer: it ends within a number")
