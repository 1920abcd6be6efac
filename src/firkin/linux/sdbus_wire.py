"""D-Bus's wire format: values to bytes and back by their signature, and messages. Little-endian, without descriptors.

The invariant: nothing is read outside of the bytes at hand, however they lie; whatever is wrong with them is a ValueError in
words. Source: D-Bus Specification, "Type System", "Marshaling (Wire Format)", "Message Protocol".
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8
LONGEST = 1 << 20  # bytes of a message; the specification allows 128 times as much
FIXED = 16  # bytes with which a message begins, from which its length can be told
_HEADER, _VERSION, _LITTLE = struct.Struct("<BBBBIII"), 1, ord("l")
_HEADER_TYPES = {PATH: "o", INTERFACE: "s", MEMBER: "s", ERROR_NAME: "s", REPLY_SERIAL: "u", DESTINATION: "s", SIGNATURE: "g"}
_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENT = {"y": 1, "n": 2, "q": 2, "b": 4, "i": 4, "u": 4, "s": 4, "o": 4, "a": 4, "g": 1, "v": 1}  # of all others, 8
_DEEPEST = 32


class Message:
    """`fields` by the numbers above; `body` is read when somebody wants it."""

    def __init__(self, kind: int, fields: dict[int, object], body: bytes) -> None:
        self.kind, self.fields, self.body = kind, fields, body

    def values(self) -> list[object]:
        return unpack(str(self.fields.get(SIGNATURE, "")), self.body)


def types(signature: str) -> Iterator[str]:
    """The single complete types of it: "sa(sv)" is "s", "a(sv)"."""
    start = 0
    while start < len(signature):
        end = _end(signature, start, 0)
        yield signature[start:end]
        start = end


def _end(signature: str, start: int, depth: int) -> int:
    """Where the type that begins at `start` ends."""
    first = signature[start : start + 1]
    if depth > _DEEPEST or not first or first not in "ybnqiuxtdsogva(":
        raise ValueError(f"signature {signature!r} has no type at {start}")
    if first == "a":
        return _end(signature, start + 1, depth + 1)
    if first != "(":
        return start + 1
    inner = start + 1
    while True:  # a struct has one member at least
        inner = _end(signature, inner, depth + 1)
        if signature[inner : inner + 1] == ")":
            return inner + 1


def pack(signature: str, values: Sequence[object]) -> bytes:
    """A variant's value is (signature, value), an array's or a struct's any sequence."""
    out = bytearray()
    for kind, value in zip(types(signature), values, strict=True):
        _pack(out, kind, value)
    return bytes(out)


def _pack(out: bytearray, kind: str, value: Any) -> None:
    _align(out, kind)
    if kind in _NUMBERS:
        out += struct.pack("<" + _NUMBERS[kind], value)
    elif kind in ("s", "o", "g"):
        data = str(value).encode()
        out += struct.pack("<B" if kind == "g" else "<I", len(data)) + data + b"\0"
    elif kind == "v":
        inner, held = value
        _pack(out, "g", inner)
        _pack(out, inner, held)
    elif kind[0] == "a":
        _pack_array(out, kind[1:], value)
    else:
        for one, member in zip(types(kind[1:-1]), value, strict=True):
            _pack(out, one, member)


def _pack_array(out: bytearray, kind: str, values: Sequence[object]) -> None:
    """Its length does not count the padding before the first element."""
    place = len(out)
    out += bytes(4)
    _align(out, kind)
    first = len(out)
    for value in values:
        _pack(out, kind, value)
    struct.pack_into("<I", out, place, len(out) - first)


def _align(out: bytearray, kind: str) -> None:
    out += bytes(-len(out) % _ALIGNMENT.get(kind[0], 8))


def unpack(signature: str, data: bytes) -> list[Any]:
    reader = _Reader(data)
    return [reader.read(kind, 0) for kind in types(signature)]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, kind: str, depth: int) -> Any:
        self._at += -self._at % _ALIGNMENT.get(kind[0], 8)
        if kind in _NUMBERS:
            size = struct.calcsize("<" + _NUMBERS[kind])
            return struct.unpack("<" + _NUMBERS[kind], self._take(size))[0]
        if kind in ("s", "o", "g"):
            size = self.read("y" if kind == "g" else "u", depth)
            return self._take(size + 1)[:-1].decode()
        if depth > _DEEPEST:
            raise ValueError("the message is nested too deeply")
        if kind == "v":
            (inner,) = types(self.read("g", depth))
            return inner, self.read(inner, depth + 1)
        if kind[0] == "a":
            return self._array(kind[1:], depth)
        return tuple(self.read(one, depth + 1) for one in types(kind[1:-1]))

    def _array(self, kind: str, depth: int) -> list[object]:
        size = self.read("u", depth)
        self._at += -self._at % _ALIGNMENT.get(kind[0], 8)
        end, found = self._at + size, []
        if end > len(self._data):
            raise ValueError("an array ends outside of its message")
        while self._at < end:
            found.append(self.read(kind, depth + 1))
        return found

    def _take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._data):
            raise ValueError("a value ends outside of its message")
        return self._data[start : self._at]


def message(kind: int, serial: int, fields: dict[int, object], body: bytes) -> bytes:
    """`serial`: not zero, and another one for each message of a connection."""
    header = [(code, (_HEADER_TYPES[code], value)) for code, value in fields.items()]
    data = bytearray(pack("yyyyuua(yv)", [_LITTLE, kind, 0, _VERSION, len(body), serial, header]))
    return bytes(data) + bytes(-len(data) % 8) + body


def length(start: bytes) -> int:
    """Of the whole message that begins with these FIXED bytes."""
    order, _, _, version, body, _, fields = _HEADER.unpack(start)
    if order != _LITTLE or version != _VERSION:
        raise ValueError("this is no message of D-Bus version 1 in this machine's byte order")
    size = FIXED + fields + -fields % 8 + body
    if size > LONGEST:
        raise ValueError(f"a message of {size} bytes is too long")
    return int(size)


def parse(data: bytes) -> Message:
    """A whole message."""
    body = _HEADER.unpack_from(data)[4]
    fields = {}
    for code, (kind, value) in unpack("yyyyuua(yv)", data[: len(data) - body])[6]:
        if _HEADER_TYPES.get(code, kind) != kind:
            raise ValueError(f"header field {code} is of type {kind!r}")
        fields[code] = value
    return Message(data[1], fields, data[len(data) - body :])
