"""The porter: lives in the user's namespaces, keeps them alive, and carries published ports' traffic into containers.

The sockets that clients connect to are made by `outside`, where the ports are; the porter accepts on them and goes on from
a socket of its own in the containers' network. So a port is bound to exactly the address asked for, is open when the start
that published it returns, and the container sees the client's own address. Like the shepherds it outlives the daemon.

Requests of the daemon: ("open", n, protocol, host ip, host port, ip, port), ("close", n, protocol, host ip, host port),
("keep", n, [(protocol, host ip, host port), ...]), ("shutdown", n); of a new `outside`: ("outside", n) + its socket.
Answers: ("reply", n, errno, 0 when it is done).
"""

from __future__ import annotations

import errno
import os
import socket

from firkin.rootless.datagrams import Datagrams
from firkin.rootless.streams import Stream
from firkin.runtime.loop import Loop
from firkin.runtime.wire import Connection, Server, close_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    Key = tuple[str, str, int]  # protocol, host ip, host port
    Target = tuple[str, int]  # ip, port

_AT_ONCE = 64  # connections accepted before others get their turn


class _Listener:
    """A published TCP port and its connections. These end when it is closed, as they do when a container ends."""

    def __init__(self, loop: Loop, sock: socket.socket, target: Target) -> None:
        self._loop, self._sock, self._target = loop, sock, target
        self._streams: set[Stream] = set()
        loop.add(sock.fileno(), self._accept)

    def close(self) -> None:
        self._loop.remove(self._sock.fileno())
        self._sock.close()
        for stream in list(self._streams):
            stream.end(broken=True)

    def _accept(self, events: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = self._sock.accept()
            except OSError:  # none left, or none that we have a descriptor for
                return
            try:
                self._streams.add(Stream(self._loop, client, self._target, self._streams.discard))
            except OSError:
                client.close()


class Porter:
    """`outside` is the socket to the process that makes sockets for us."""

    def __init__(self, exec_root: str, outside: socket.socket) -> None:
        self._loop = Loop()
        self._open: dict[Key, tuple[Target, _Listener | Datagrams]] = {}
        self._asked: dict[int, tuple[Connection, int, Key, Target]] = {}
        self._count = 0
        self._path = socket_path(exec_root)
        self._outside = self._connect(outside)
        self._server = Server(self._loop, self._path, self._on_request)

    def run(self) -> None:
        while True:
            self._loop.turn()

    # --- the daemon ------------------------------------------------------------------------------------------------
    def _on_request(self, peer: Connection, fds: list[int], kind: str, number: int, *arguments: object) -> None:
        handlers = {"open": self._open_port, "close": self._close_port, "keep": self._keep, "shutdown": self._shutdown}
        if kind == "outside":
            self._outside = self._connect(socket.socket(fileno=fds[0]))
            peer.send(("reply", number, 0))
        else:
            close_all(fds)
            handlers[kind](peer, number, *arguments)  # type: ignore[operator]

    def _open_port(self, peer: Connection, number: int, protocol: str, host_ip: str, host_port: int, *target: object) -> None:
        key: Key = (protocol, host_ip, host_port)
        wanted: Target = target  # type: ignore[assignment]
        if key in self._open:
            present, door = self._open[key]
            if present == wanted:
                peer.send(("reply", number, 0))  # a new daemon makes sure
                return
            del self._open[key]
            door.close()
        self._count += 1
        self._asked[self._count] = (peer, number, key, wanted)
        self._outside.send(("bind", self._count, *key))
        if self._outside.sock.fileno() < 0:
            self._made(self._outside, [], "made", self._count, errno.ECONNREFUSED)

    def _close_port(self, peer: Connection, number: int, protocol: str, host_ip: str, host_port: int) -> None:
        if present := self._open.pop((protocol, host_ip, host_port), None):
            present[1].close()
        peer.send(("reply", number, 0))

    def _keep(self, peer: Connection, number: int, keys: list[Key]) -> None:
        """Close all others: they are of containers that ended while there was no daemon."""
        for key in [key for key in self._open if key not in keys]:
            self._open.pop(key)[1].close()
        peer.send(("reply", number, 0))

    def _shutdown(self, peer: Connection, number: int) -> None:
        os.unlink(self._path)
        self._outside.send(("finish",))
        peer.send(("reply", number, 0))
        os._exit(0)

    # --- outside ---------------------------------------------------------------------------------------------------
    def _connect(self, sock: socket.socket) -> Connection:
        return Connection(self._loop, sock, self._made, self._lost)

    def _made(self, outside: Connection, fds: list[int], kind: str, count: int, failed: int) -> None:
        """A socket that was asked for, or why there is none."""
        peer, number, key, target = self._asked.pop(count)
        if not failed:
            sock = socket.socket(fileno=fds[0])
            sock.setblocking(False)
            self._open[key] = (target, (Datagrams if key[0] == "udp" else _Listener)(self._loop, sock, target))
        peer.send(("reply", number, failed))

    def _lost(self, outside: Connection) -> None:
        """Open ports stay open; new ones wait for the next daemon, which brings another."""
        for count in list(self._asked):
            self._made(outside, [], "made", count, errno.ECONNREFUSED)


def socket_path(exec_root: str) -> str:
    return f"{exec_root}/porter.sock"
