"""One TCP connection to a published port: from the client's socket to one of ours in the container's network, and back.

Ours is bound to the client's own address and port, so that is whom the container sees (see `inside` for how its answers
come back). The bytes go through a pipe inside the kernel and are never copied here.
Source: splice(2), IP_TRANSPARENT in ip(7), Linux Documentation/networking/tproxy.rst.
"""

from __future__ import annotations

import os
import select
import socket
import struct

from firkin.runtime.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MARK = 0x46
"""On packets of a socket that has borrowed its client's address."""

_SO_MARK, _IP_TRANSPARENT, _IPV6_TRANSPARENT = 36, 19, 75
_PIECE = 1 << 16  # bytes at once; what fits into a pipe
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


def borrow_address(sock: socket.socket, client: tuple[str, int]) -> None:
    """Speak to the container from `client`'s address. One of the host's loopback, or of the other family, means nothing there:
    such a client is seen as the container's gateway. Raises OSError."""
    if client[0].startswith("127.") or client[0] == "::1" or (":" in client[0]) != (sock.family == socket.AF_INET6):
        return
    level, option = (
        (socket.IPPROTO_IPV6, _IPV6_TRANSPARENT) if sock.family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_TRANSPARENT)
    )
    sock.setsockopt(level, option, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(client)
    except OSError:  # it uses the same port for another connection to the same container
        sock.bind((client[0], 0))


def family_of(target: tuple[str, int]) -> int:
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET


class _Way:
    """One direction. `pending` bytes are in the pipe; nothing is read before it is empty."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.pending = 0
        self.ended = self.shut = False
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def pump(self) -> None:
        """Move what can be moved now. Raises OSError when either end is broken."""
        try:
            while not self.shut:
                if not self.pending and not self.ended:
                    self.pending = os.splice(self.source.fileno(), self._write, _PIECE, flags=_FLAGS)
                    self.ended = not self.pending
                if self.pending:
                    self.pending -= os.splice(self._read, self.target.fileno(), self.pending, flags=_FLAGS)
                elif self.ended:
                    self.target.shutdown(socket.SHUT_WR)
                    self.shut = True
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Stream:
    """A connection being made, or made. It ends by itself, and says so with `on_end(self)`."""

    def __init__(self, loop: Loop, client: socket.socket, target: tuple[str, int], on_end: Callable[[Stream], None]) -> None:
        """`target` is (address, port) in the container's network. Raises OSError; `client` stays the caller's then."""
        self._loop, self._on_end = loop, on_end
        self._client = client
        self._server = socket.socket(family_of(target), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            borrow_address(self._server, client.getpeername()[:2])
            self._server.connect_ex(target)
            self._ways = (_Way(client, self._server), _Way(self._server, client))
        except OSError:
            self._server.close()
            raise
        client.setblocking(False)
        self._connecting = True
        loop.add(self._server.fileno(), self._server_ready, select.EPOLLOUT)
        loop.add(client.fileno(), self._client_ready, 0)

    def end(self, *, broken: bool = False) -> None:
        """Close both ends; `broken`: so that the peers learn that something is missing."""
        for sock in (self._client, self._server):
            self._loop.remove(sock.fileno())
            if broken:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            sock.close()
        for way in self._ways:
            way.close()
        self._on_end(self)

    def _client_ready(self, events: int) -> None:
        self._ready(self._client, events)

    def _server_ready(self, events: int) -> None:
        if self._connecting:
            if self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.end(broken=True)  # nobody listens in the container: the client learns it as if it had been there
                return
            self._connecting = False
        self._ready(self._server, events)

    def _ready(self, sock: socket.socket, events: int) -> None:
        try:
            if events & select.EPOLLERR:
                raise OSError
            for way in self._ways:
                way.pump()
        except OSError:
            self.end(broken=True)
            return
        if all(way.shut for way in self._ways):
            self.end()
            return
        if events & select.EPOLLHUP:  # no more news from this one, and it would be repeated for ever
            self._loop.remove(sock.fileno())
        there, back = self._ways
        for one, reads, writes in ((self._client, there, back), (self._server, back, there)):
            wanted = select.EPOLLIN if not reads.pending and not reads.ended else 0
            self._loop.change(one.fileno(), wanted | (select.EPOLLOUT if writes.pending else 0))
