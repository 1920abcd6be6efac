"""Descriptors: passing them over sockets, closing all but a few, duplicating what flows through pipes.

Every descriptor received is close-on-exec. Source: unix(7), cmsg(3), close_range(2), tee(2).
"""

from __future__ import annotations

import errno
import os
import struct

from firkin.linux import sockets as socket
from firkin.linux.syscalls import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

_LAST = 0xFFFFFFFF
MOST_AT_ONCE = 253  # SCM_MAX_FD
_CONTROL_SPACE = socket.CMSG_SPACE(MOST_AT_ONCE * 4)


def send_fds(sock: _socket.socket, data: bytes, fds: list[int], flags: int = 0) -> None:
    """One message of a Unix socket, with duplicates of `fds` attached."""
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))] if fds else []
    sock.sendmsg([data], control, flags | socket.MSG_NOSIGNAL)


def recv_fds(sock: _socket.socket, size: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """The next message and its descriptors, which are the caller's to close; (b"", []) at end of file.

    OSError EMSGSIZE if it was longer than `size` or held more descriptors than fit."""
    data, control, message_flags, _ = sock.recvmsg(size, _CONTROL_SPACE, flags | socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, payload in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds += struct.unpack(f"={len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    if message_flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for fd in fds:
            os.close(fd)
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE), "recvmsg")
    return data, fds


def close_all_but(keep: list[int]) -> None:
    """Close every descriptor from 3 up that is not in `keep`."""
    start = 3
    for fd in sorted(set(keep)):
        if fd > start:
            call("close_range", start, fd - 1, 0)
        start = max(start, fd + 1)
    call("close_range", start, _LAST, 0)


def tee(source: int, target: int, size: int, flags: int = 0) -> int:
    """Copy up to `size` bytes from one pipe to another without consuming them; how many."""
    return call("tee", source, target, size, flags)
