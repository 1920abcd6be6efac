"""Messages between daemon, keeper and launcher: one marshalled tuple, with descriptors, per SOCK_SEQPACKET message.

Invariant: a message is delivered whole or not at all, and in order. One too large for a socket buffer travels as a
sealed-off memfd in front of its descriptors. Both ends run the same Python, so marshal's format is never a question;
only the user who owns the sockets can reach them (mode 0700 directory and SO_PEERCRED).
Source: unix(7), memfd_create(2).
"""

from __future__ import annotations

import marshal
import os
import select
import struct

from firkin.linux import sockets as socket
from firkin.linux.fds import recv_fds, send_fds
from firkin.runtime.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[..., None]  # (connection, descriptors, *message)

INLINE = 32768  # bytes; well under the default socket buffer
_SPILLED = b"spilled"
_CREDENTIALS = struct.Struct("3i")

Message = tuple[object, ...]


def send(sock: socket.SocketType, message: Message, fds: list[int] | None = None) -> None:
    """Send one message; the descriptors stay the caller's. Raises OSError, BlockingIOError when there is no room."""
    data = marshal.dumps(message)  # type: ignore[arg-type]
    if len(data) <= INLINE:
        send_fds(sock, data, fds or [])
        return
    spill = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(spill, view) :]
        send_fds(sock, _SPILLED, [spill, *(fds or [])])
    finally:
        os.close(spill)


def receive(sock: socket.SocketType) -> tuple[Message, list[int]]:
    """The next message and its descriptors, now the caller's. Raises EOFError when the peer is gone,
    BlockingIOError when nothing has come."""
    try:
        data, fds = recv_fds(sock, INLINE)
    except ConnectionResetError:  # the peer died without reading all of ours, and this is told before what it had sent
        data, fds = recv_fds(sock, INLINE)
    if not data:
        raise EOFError
    if data == _SPILLED:
        spill = fds.pop(0)
        try:
            data = os.pread(spill, os.fstat(spill).st_size, 0)
        finally:
            os.close(spill)
    message: Message = marshal.loads(data)
    return message, fds


class Connection:
    """One peer of a loop. What the peer has no room for waits here, in order, so sending never blocks."""

    def __init__(
        self, loop: Loop, sock: socket.SocketType, on_message: Handler, on_close: Callable[[Connection], None]
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._loop = loop
        self._on_message = on_message
        self._on_close = on_close
        self._waiting: list[tuple[Message, list[int]]] = []
        loop.add(sock.fileno(), self._ready)

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        """Send now or when there is room. The descriptors stay the caller's. To a peer that is gone, nothing is sent."""
        if self.sock.fileno() < 0 or (not self._waiting and self._sent(message, fds or [])):
            return
        self._waiting.append((message, [os.dup(fd) for fd in fds or []]))
        self._loop.change(self.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def drain(self) -> bool:
        """Handle every message that has come; False at the end of the connection."""
        while self.sock.fileno() >= 0:
            try:
                message, fds = receive(self.sock)
            except BlockingIOError:
                return True
            except (EOFError, ConnectionError):
                return False
            self._on_message(self, fds, *message)
        return False

    def close(self) -> None:
        """Close the socket, unless closed already; what still waits is dropped."""
        self._loop.remove(self.sock.fileno())
        self.sock.close()
        for _, fds in self._waiting:
            close_all(fds)
        self._waiting.clear()

    def retire(self) -> None:
        """Handle what has been sent until now; from now on the peer's sending fails. Answers can still be sent."""
        self._loop.remove(self.sock.fileno())
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            return
        self.drain()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT and not self.drain():
            self.close()
            self._on_close(self)

    def _flush(self) -> None:
        while self._waiting:
            message, fds = self._waiting[0]
            if not self._sent(message, fds):
                return
            self._waiting.pop(0)
            close_all(fds)
        self._loop.change(self.sock.fileno(), select.EPOLLIN)

    def _sent(self, message: Message, fds: list[int]) -> bool:
        try:
            send(self.sock, message, fds)
        except BlockingIOError:
            return False
        except ConnectionError:
            pass  # the loop will notice, too
        return True


class Server:
    """A listening socket that answers only this user, and the peers connected to it. Each is greeted with ("hello",)."""

    def __init__(self, loop: Loop, path: str, on_message: Handler) -> None:
        self._loop = loop
        self._on_message = on_message
        self.peers: list[Connection] = []
        self._sock = listen(path)
        loop.add(self._sock.fileno(), self._accept)

    def broadcast(self, message: Message) -> None:
        for peer in self.peers:
            peer.send(message)

    def retire(self) -> None:
        """Take no more peers, and no more messages than have been sent already."""
        self._loop.remove(self._sock.fileno())
        self._sock.close()
        for peer in self.peers:
            peer.retire()

    def disconnect(self) -> None:
        for peer in self.peers:
            peer.close()

    def _accept(self, events: int) -> None:
        sock, _ = self._sock.accept()
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(credentials)[1] != os.getuid():
            sock.close()
            return
        peer = Connection(self._loop, sock, self._on_message, self.peers.remove)
        peer.send(("hello",))
        self.peers.append(peer)


def listen(path: str) -> socket.socket:
    """A non-blocking listening socket that takes the place of whatever was at `path` in one step."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fresh = f"{path}.{os.getpid()}"
    sock.bind(fresh)
    os.chmod(fresh, 0o600)
    sock.listen(16)
    os.rename(fresh, path)
    sock.setblocking(False)
    return sock


def close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
