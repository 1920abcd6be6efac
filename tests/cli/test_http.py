"""The HTTP client, against bytes that a server might send in any pieces."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from firkin.cli.client import Client, lines, target
from firkin.cli.errors import DaemonError
from firkin.cli.http import Connection, Disconnected


def server(*pieces: bytes, asked: bool = False) -> Connection:
    """A connection on which exactly these pieces arrive (once `asked` for), one write each, and then the end."""
    ours, theirs = socket.socketpair()

    def write() -> None:
        with theirs:
            if asked:
                theirs.recv(65536)
            for piece in pieces:
                theirs.sendall(piece)

    threading.Thread(target=write).start()
    return Connection(ours)


def test_a_counted_body_and_what_follows_it() -> None:
    connection = server(b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 5\r\nX-Y: z\r\n\r\nhel", b"loHTTP/1.1 204 No Content\r\n\r\n")
    first = connection.response()
    assert (first.status, first.headers["x-y"], first.read()) == (200, "z", b"hello")
    second = connection.response()
    assert (second.status, second.read()) == (204, b"")


def test_a_chunked_body_byte_by_byte() -> None:
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    connection = server(*(bytes([byte]) for byte in whole))
    assert connection.response().read() == b"abcde"
    assert connection.buffer == b""


def test_an_informational_answer_is_passed_over() -> None:
    connection = server(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert connection.response().status == 200


def test_a_body_until_the_end_of_the_connection() -> None:
    assert server(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def").response().read() == b"abcdef"


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
def test_an_answer_that_breaks_off_is_an_error(cut: bytes) -> None:
    with pytest.raises(Disconnected):
        server(cut).response().read()


def test_what_follows_an_upgrade_is_left_in_the_buffer() -> None:
    connection = server(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n\x01\0\0\0raw")
    assert connection.response("POST").status == 101
    assert connection.buffer == b"\x01\0\0\0raw"


@pytest.mark.parametrize(
    ("body", "message"),
    [(b'{"message":"no such thing"}', "no such thing"), (b"plain words", "plain words"), (b"", "status 404")],
)
def test_an_error_carries_the_daemons_words(body: bytes, message: str) -> None:
    connection = server(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), asked=True)
    with pytest.raises(DaemonError) as caught:
        Client(lambda: connection.sock, {}).get("/x")
    assert (caught.value.status, caught.value.reason) == (404, message)


def test_an_idle_connection_that_was_closed_is_replaced() -> None:
    reply = b"HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nContent-Length: 2\r\n\r\n{}"
    sockets: Iterator[socket.socket] = (server(reply, asked=True).sock for _ in range(2))
    client = Client(lambda: next(sockets), {})
    assert [client.get("/a"), client.get("/b")] == [{}, {}]
    assert client.at_least("1.41") and client.at_least("1.44") and not client.at_least("1.100")


def test_queries() -> None:
    query = {"all": True, "no": False, "n": 0, "empty": "", "none": None, "names": ["a", "b c"], "filters": {"x": {"y": True}}}
    assert target("/p q", query) == "/p%20q?all=1&n=0&names=a&names=b%20c&filters=%7B%22x%22%3A%7B%22y%22%3Atrue%7D%7D"


def test_lines_of_any_pieces() -> None:
    assert list(lines([b"a\nb", b"c\n", b"\nd"])) == [b"a\n", b"bc\n", b"\n", b"d"]
