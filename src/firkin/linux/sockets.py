"""Sockets for those who cannot wait for the `socket` module, whose enumerations take longer to make than a container to mount.

To be imported `as socket`: the interpreter's own names and numbers, with as much of the standard class as is used.
Source: socket(2), unix(7).
"""

from __future__ import annotations

import _socket
from _socket import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    AF_UNSPEC,
    CMSG_SPACE,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_PEEK,
    MSG_TRUNC,
    NETLINK_ROUTE,
    SCM_RIGHTS,
    SHUT_RD,
    SO_PEERCRED,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    inet_aton,
    inet_ntop,
    inet_pton,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


__all__ = [
    "AF_BRIDGE",
    "AF_INET",
    "AF_INET6",
    "AF_NETLINK",
    "AF_UNIX",
    "AF_UNSPEC",
    "CMSG_SPACE",
    "MSG_CMSG_CLOEXEC",
    "MSG_CTRUNC",
    "MSG_DONTWAIT",
    "MSG_NOSIGNAL",
    "MSG_PEEK",
    "MSG_TRUNC",
    "NETLINK_ROUTE",
    "SCM_RIGHTS",
    "SHUT_RD",
    "SOCK_CLOEXEC",
    "SOCK_DGRAM",
    "SOCK_RAW",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "SOL_SOCKET",
    "SO_PEERCRED",
    "SO_REUSEADDR",
    "SocketType",
    "inet_aton",
    "inet_ntop",
    "inet_pton",
    "socket",
    "socketpair",
]

SocketType = _socket.socket  # what any socket is, the standard module's too


class socket(_socket.socket):  # the name it goes by everywhere
    """Close-on-exec, as everything here."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def accept(self) -> tuple[socket, object]:
        fd, address = self._accept()  # type: ignore[attr-defined]
        return socket(fileno=fd), address


def socketpair(family: int, kind: int) -> tuple[socket, socket]:
    one, other = _socket.socketpair(family, kind)
    return socket(fileno=one.detach()), socket(fileno=other.detach())
