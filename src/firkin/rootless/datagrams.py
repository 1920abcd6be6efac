"""A published UDP port: a socket in the container's network for each client, which speaks from the client's address.

Answers go out from the very address the client had sent to, as it expects. A client that is silent for three minutes is
forgotten, as connection tracking would. Source: udp(7), IP_PKTINFO in ip(7).
"""

from __future__ import annotations

import socket
import struct
import time

from firkin.rootless.streams import borrow_address, family_of
from firkin.runtime.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_IP_PKTINFO = 8
_PKTINFO = struct.Struct("=i4s4s")  # interface, local address, destination
_ANCILLARY = socket.CMSG_SPACE(_PKTINFO.size)
_LARGEST = 1 << 16
_AT_ONCE = 64  # datagrams before others get their turn
_PATIENCE = 180.0  # seconds
_MOST_CLIENTS = 1024


def tell_destination(sock: socket.socket) -> None:
    """Have the kernel say to which of the host's addresses each datagram came."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


class _Client:
    """`answer`: ancillary data that makes an answer come from where the question went."""

    def __init__(self, sock: socket.socket, address: Any, answer: list[tuple[int, int, bytes]]) -> None:
        self.sock, self.address, self.answer = sock, address, answer
        self.last = time.monotonic()


class Datagrams:
    """The port's socket `outer`, and its clients. `target` is (address, port) in the container's network."""

    def __init__(self, loop: Loop, outer: socket.socket, target: tuple[str, int]) -> None:
        self._loop, self._outer, self._target = loop, outer, target
        self._clients: dict[tuple[Any, bytes], _Client] = {}
        loop.add(outer.fileno(), self._questions)

    def close(self) -> None:
        for key in list(self._clients):
            self._forget(key)
        self._loop.remove(self._outer.fileno())
        self._outer.close()

    def _questions(self, events: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, address = self._outer.recvmsg(_LARGEST, _ANCILLARY)
            except OSError:  # none left; or what became of an earlier answer
                return
            info = next((value for level, kind, value in ancillary if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO)), b"")
            try:
                self._client(address, info).sock.send(data)
            except OSError:  # nobody listens in the container (yet), or its queue is full: a datagram is lost, as they are
                continue

    def _client(self, address: Any, info: bytes) -> _Client:
        local = _PKTINFO.unpack(info)[1] if info else b""
        key = (address, local)
        client = self._clients.get(key)
        if client is None:
            self._make_room()
            answer = [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, local, bytes(4)))] if local else []
            client = self._clients[key] = _Client(self._connected(address), address, answer)
            self._loop.add(client.sock.fileno(), lambda events: self._answers(client))
        client.last = time.monotonic()
        return client

    def _connected(self, address: Any) -> socket.socket:
        sock = socket.socket(family_of(self._target), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            borrow_address(sock, address[:2])
            sock.connect(self._target)
        except OSError:
            sock.close()
            raise
        return sock

    def _answers(self, client: _Client) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = client.sock.recv(_LARGEST)
                self._outer.sendmsg([data], client.answer, 0, client.address)
            except OSError:
                return
            client.last = time.monotonic()

    def _make_room(self) -> None:
        """Forget who has been silent for long, and whoever came first when there are too many."""
        silent = time.monotonic() - _PATIENCE
        for key in [key for key, client in self._clients.items() if client.last < silent]:
            self._forget(key)
        if len(self._clients) >= _MOST_CLIENTS:
            self._forget(next(iter(self._clients)))

    def _forget(self, key: tuple[Any, bytes]) -> None:
        client = self._clients.pop(key)
        self._loop.remove(client.sock.fileno())
        client.sock.close()
