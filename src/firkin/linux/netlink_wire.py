"""Netlink's wire: messages, attributes, and one socket that sends them and reads the kernel's answers.

Invariant: the kernel works through all of one send before that call returns. So its answers are there by then, several
messages cost one system call, and no acknowledgement need be asked for: nothing to read means nothing was refused.
Source: netlink(7), RFC 3549, linux/netlink.h.
"""

from __future__ import annotations

import os
import struct

from firkin.linux import sockets as socket

# linux/netlink.h
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED, NLA_TYPE_MASK = 0x8000, 0x3FFF
_NLMSGERR_ATTR_MSG = 1
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_LONGEST_DUMP, _LONGEST_REFUSAL = 1 << 16, 1 << 12  # a refusal does not repeat the message (NETLINK_CAP_ACK)
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type

Message = tuple[int, int, bytes]
"""Type, flags beyond NLM_F_REQUEST, and the payload: family header and attributes."""


class NetlinkError(OSError):
    """The kernel refused message number `index` of a batch. `strerror` is its own explanation where it gave one."""

    index = 0


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host order."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """A string attribute, terminated by a zero byte."""
    return attribute(kind, value.encode("ascii") + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by type; of a repeated one the last counts."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & NLA_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def batch(*messages: Message) -> bytes:
    """`messages` as they go over the socket, numbered from 0."""
    framed = []
    for sequence, (kind, flags, payload) in enumerate(messages):
        header = _HEADER.pack(16 + len(payload), kind, flags | NLM_F_REQUEST, sequence, 0)
        framed.append(header + payload + bytes(-len(payload) % 4))
    return b"".join(framed)


class Channel:
    """One netlink socket, in the network namespace its thread was in when it was opened."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)

    def fileno(self) -> int:
        return self._socket.fileno()

    def set_option(self, option: int) -> None:
        """Switch on one of NETLINK_*; OSError for one that this kernel does not know."""
        self._socket.setsockopt(_SOL_NETLINK, option, 1)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def request(self, *messages: Message) -> None:
        """Have the kernel carry out `messages` in order, in one send.

        The kernel goes on after a refused message (rtnetlink) or undoes all (nftables); the first refusal is raised as
        `NetlinkError`."""
        self.replay(batch(*messages))

    def replay(self, framed: bytes) -> None:
        """`request` for messages framed before, by `batch`."""
        self._socket.send(framed)
        refusals = [
            r
            for kind, flags, sequence, body in self._waiting()
            if kind == NLMSG_ERROR and (r := _refusal(sequence, flags, body))
        ]
        if refusals:
            raise refusals[0]

    def _waiting(self) -> list[tuple[int, int, int, bytes]]:
        """All messages there are by now."""
        messages: list[tuple[int, int, int, bytes]] = []
        try:
            while True:
                messages += self._receive(_LONGEST_REFUSAL, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return messages

    def ask(self, message: Message) -> bytes:
        """The payload of the one answer to `message`."""
        self._socket.send(batch(message))
        for kind, flags, sequence, body in self._receive(_LONGEST_DUMP):
            if kind != NLMSG_ERROR:
                return body
            raise _refusal(sequence, flags, body) or NetlinkError(0, "no answer")
        raise NetlinkError(0, "no answer")

    def dump(self, message: Message) -> list[tuple[int, bytes]]:
        """All objects `message` asks for, as (message type, payload)."""
        kind, flags, payload = message
        self._socket.send(batch((kind, flags | NLM_F_DUMP, payload)))
        found: list[tuple[int, bytes]] = []
        while True:
            for answer, flags, sequence, body in self._receive(_LONGEST_DUMP):
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    raise _refusal(sequence, flags, body) or NetlinkError(0, "dump ended early")
                found.append((answer, body))

    def _receive(self, size: int, how: int = 0) -> list[tuple[int, int, int, bytes]]:
        """One datagram's messages: type, flags, sequence, payload."""
        data = self._socket.recv(size, how)
        messages, offset = [], 0
        while offset + 16 <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            messages.append((kind, flags, sequence, data[offset + 16 : offset + length]))
            offset += (length + 3) & ~3
        return messages


def _refusal(sequence: int, flags: int, body: bytes) -> NetlinkError | None:
    """The error of an NLMSG_ERROR body; None for a plain acknowledgement."""
    errno = -struct.unpack_from("=i", body)[0]
    if errno == 0:
        return None
    explanation = b""
    if flags & _NLM_F_ACK_TLVS:
        original = 16 if flags & _NLM_F_CAPPED else struct.unpack_from("=I", body, 4)[0]
        explanation = attributes(body[4 + ((original + 3) & ~3) :]).get(_NLMSGERR_ATTR_MSG, b"")
    refusal = NetlinkError(errno, explanation.rstrip(b"\0").decode("ascii", "replace") or os.strerror(errno))
    refusal.index = sequence
    return refusal
