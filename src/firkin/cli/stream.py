"""The container's streams, taken over from HTTP: one poll(2) loop between the socket, standard input and signals.

Without a terminal the daemon multiplexes stdout and stderr in frames of `[stream, 0, 0, 0, length (4 bytes, big
endian)] + data` (Docker Engine API, "Attach to a container"); with one the stream is raw. Standard input's end is
passed on by shutting down the sending half only, so that `cat` can still answer.
"""

from __future__ import annotations

import os
from _socket import MSG_DONTWAIT, SHUT_WR, socket
from select import POLLIN, POLLOUT, poll

from firkin.cli.http import RECEIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from firkin.cli.http import Connection
    from firkin.cli.signals import Caught
    from firkin.cli.terminal import DetachKeys

_HEADER = 8


class Frames:
    """Takes the multiplexed stream apart; a frame is handed on piece by piece as it arrives."""

    def __init__(self) -> None:
        self.header = b""
        self.stream = 1
        self.left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(1 for stdout or 2 for stderr, bytes), in order."""
        position = 0
        while position < len(data):
            if not self.left:
                missing = _HEADER - len(self.header)
                self.header += data[position : position + missing]
                position += missing
                if len(self.header) == _HEADER:
                    self.stream, self.left = 2 if self.header[0] == 2 else 1, int.from_bytes(self.header[4:])
                    self.header = b""
                continue
            piece = data[position : position + self.left]
            position += len(piece)
            self.left -= len(piece)
            yield self.stream, piece


def write(fd: int, data: bytes) -> None:
    """All of it, however the kernel splits it."""
    while data:
        data = data[os.write(fd, data) :]


def half_close(sock: socket) -> None:
    """End the sending half. The base class's own `shutdown`: `ssl`'s would end both."""
    try:
        socket.shutdown(sock, SHUT_WR)
    except OSError:
        pass  # the daemon has closed already


class Session:
    """One attached stream. `stdin` is the descriptor to forward, None for none."""

    def __init__(self, connection: Connection, tty: bool, stdin: int | None, keys: DetachKeys | None = None) -> None:
        self.connection = connection
        self.sock = connection.sock
        self.frames = None if tty else Frames()
        self.stdin = stdin
        self.keys = keys
        self.outgoing = b""
        self.detached = False
        self.pending: Callable[[], int] = getattr(self.sock, "pending", int)  # TLS holds bytes that poll(2) cannot see
        self.poll = poll()

    def run(self, caught: Caught | None = None, on_signal: Callable[[int], None] | None = None) -> bool:
        """Copy until the container's output ends; False when the user detached instead."""
        self.poll.register(self.sock.fileno(), POLLIN)
        if self.stdin is not None:
            self.poll.register(self.stdin, POLLIN)
        if caught:
            self.poll.register(caught.fd, POLLIN)
        if self.connection.buffer:
            self._show(self.connection.buffer)
        while not self.detached:
            for fd, events in self.poll.poll():
                if fd == self.sock.fileno():
                    if events & POLLOUT:
                        self._send()
                    if events & ~POLLOUT and not self._receive():
                        return True
                elif fd == self.stdin:
                    self._read_input(fd)
                elif caught and on_signal:
                    for number in caught.read():
                        on_signal(number)
        return False

    def _receive(self) -> bool:
        """Show what has arrived; False at the end of the output."""
        while True:
            try:
                data = self.sock.recv(RECEIVE)
            except ConnectionResetError:
                return False
            self._show(data)
            if not data or not self.pending():
                return bool(data)

    def _show(self, data: bytes) -> None:
        if self.frames is None:
            write(1, data)
            return
        for stream, piece in self.frames.feed(data):
            write(stream, piece)

    def _read_input(self, fd: int) -> None:
        """Read what was typed; nothing more is read until it has been sent."""
        try:
            data = os.read(fd, RECEIVE)
        except OSError:
            data = b""  # the terminal is gone, or standard input was never open
        self.poll.unregister(fd)
        if not data:
            self.stdin = None
            half_close(self.sock)
            return
        if self.keys:
            data, self.detached = self.keys.feed(data)
        self.outgoing = data
        self._send()

    def _send(self) -> None:
        """Send what the socket takes now; the rest waits for POLLOUT, so a daemon that blocks on output cannot stop us."""
        try:
            self.outgoing = self.outgoing[self._send_some(self.outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing = b""  # the container no longer reads: what it still says must come through
            self.stdin = None
        self.poll.modify(self.sock.fileno(), POLLIN | (POLLOUT if self.outgoing else 0))
        if not self.outgoing and self.stdin is not None:
            self.poll.register(self.stdin, POLLIN)

    def _send_some(self, data: bytes) -> int:
        encrypted = hasattr(self.sock, "pending")  # TLS takes no flags
        return self.sock.send(data) if encrypted else self.sock.send(data, MSG_DONTWAIT)
