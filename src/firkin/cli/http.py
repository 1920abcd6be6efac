"""A small HTTP/1.1 client for one daemon: keep-alive, chunked bodies both ways, and connections taken over as streams.

Spec: RFC 9112, and the Docker Engine API for what it adds (`Upgrade: tcp`, after which the connection carries bytes).
`http.client` does the same but costs more to import than a whole `firkin run` may take. Nothing here knows a command;
`client.py` puts Docker's errors and JSON on top.
"""

from __future__ import annotations

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Iterator

    Producer = Callable[[Callable[[bytes], None]], None]

RECEIVE = 65536
_LONGEST_LINE = 1 << 20
_LONGEST_NUMBER = 18
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def percent(text: str) -> str:
    """Percent-encode for a path or a query value (RFC 3986); `/` stays, which every server accepts in a query."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))


def _number(text: bytes, base: int = 10) -> int:
    """A status or a size; raises `Failure` for what is none."""
    try:
        if text.isalnum() and len(text) <= _LONGEST_NUMBER:
            return int(text, base)
    except ValueError:
        pass
    raise Failure(f"error during connect: malformed HTTP response: {text[:_LONGEST_NUMBER]!r} where a number is due")


class Disconnected(Failure):
    """The daemon closed the connection where an answer was due."""

    def __init__(self) -> None:
        super().__init__("the daemon closed the connection")


class Connection:
    """One connection: `send` a request, then take its `response`; whoever is told "upgraded" owns `sock` and `rest`."""

    def __init__(self, sock: socket) -> None:
        self.sock = sock
        self.buffer = b""

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | Producer | None = None) -> None:
        """Send one request. A producer is called with a function that sends a piece of the body (in chunks)."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
        whole = body if isinstance(body, bytes) else b""
        produce = None if isinstance(body, bytes) else body
        lines.append("Transfer-Encoding: chunked" if produce else f"Content-Length: {len(whole)}")
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + whole)
        if produce:
            produce(self._send_chunk)
            self.sock.sendall(b"0\r\n\r\n")

    def _send_chunk(self, piece: bytes) -> None:
        if piece:
            self.sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))

    def response(self, method: str = "GET") -> Response:
        """Read the next status line and headers. Raises `Disconnected` when there is none."""
        while True:
            status = _number([*self.line().split(b" ", 2), b""][1])
            headers = dict(self._headers())
            if status >= 200 or status == 101:
                return Response(self, status, headers, bodiless=method == "HEAD" or status in (101, 204, 304))

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self.line():
            name, _, value = line.partition(b":")
            yield name.decode("latin-1").lower(), value.decode("latin-1").strip()

    def line(self) -> bytes:
        """The next line without its end."""
        while (end := self.buffer.find(b"\r\n")) < 0:
            if len(self.buffer) > _LONGEST_LINE:
                raise Failure("error during connect: malformed HTTP response: a line without end")
            self.buffer += self.receive()
        line, self.buffer = self.buffer[:end], self.buffer[end + 2 :]
        return line

    def take(self, most: int) -> bytes:
        """At least one and at most `most` bytes."""
        if not self.buffer:
            self.buffer = self.receive()
        piece, self.buffer = self.buffer[:most], self.buffer[most:]
        return piece

    def receive(self) -> bytes:
        try:
            data = self.sock.recv(RECEIVE)
        except ConnectionResetError:
            data = b""
        except OSError as error:  # with TLS, why the daemon refuses is only said here
            raise Failure(f"error during connect: {error}") from None
        if not data:
            raise Disconnected
        return data

    def close(self) -> None:
        self.sock.close()


class Response:
    """Status, headers (names in lower case) and a body that is read once, by `read` or `pieces`."""

    def __init__(self, connection: Connection, status: int, headers: dict[str, str], bodiless: bool) -> None:
        self.connection = connection
        self.status = status
        self.headers = headers
        self.bodiless = bodiless

    def read(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, in pieces of any size."""
        if self.bodiless:
            return iter(())
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked()
        if "content-length" in self.headers:
            return self._counted(_number(self.headers["content-length"].encode()))
        return self._until_close()

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.connection.take(left)
            left -= len(piece)
            yield piece

    def _chunked(self) -> Iterator[bytes]:
        while size := _number(self.connection.line().split(b";")[0].strip(), 16):
            yield from self._counted(size)
            self.connection.line()
        while self.connection.line():
            pass  # trailers

    def _until_close(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.connection.take(RECEIVE)
            except Disconnected:
                return
