"""Hijacked connections: real processes behind pipes, in front of them a client that half-closes, detaches, dawdles or dies."""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from firkin.api import streams, tls
from firkin.api.call import Call
from firkin.api.connection import Connection
from firkin.api.server import Application, Server
from firkin.api.tls import TlsServer, server_context
from firkin.engine.streams import Streams, pipe_pair
from firkin.errors import Invalid
from tests.api.rig import NO_ENGINE, Client, serve

UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


class Behind:
    """The process an attachment leads to, and what became of the attachment."""

    def __init__(self, script: str, tty: bool, connection: Connection) -> None:
        self.connection = connection
        out, child_out = pipe_pair()
        err, child_err = pipe_pair()
        child_in, self.stdin = os.pipe()
        os.set_blocking(self.stdin, False)
        self.process = subprocess.Popen(["sh", "-c", script], stdin=child_in, stdout=child_out, stderr=child_err)
        for fd in (child_in, child_out, child_err):
            os.close(fd)
        self.closed = asyncio.Event()
        outputs = {out: 1, err: 2}
        self.streams = Streams(outputs, self._stdin, tty=tty, on_close_stdin=self._close_stdin, on_close=self.closed.set)

    async def _stdin(self) -> int | None:
        return self.stdin

    def _close_stdin(self) -> None:
        os.close(self.stdin)
        self.stdin = os.open("/dev/null", os.O_WRONLY)

    def end(self) -> None:
        os.close(self.stdin)
        self.process.kill()
        self.process.wait()


started: list[Behind] = []


async def attach(call: Call) -> web.StreamResponse:
    behind = Behind(call.text("script"), call.flag("tty"), call.connection)
    started.append(behind)

    async def begin() -> Streams:
        return behind.streams

    return await streams.serve(call, begin(), behind.streams.tty, cast(streams.Until, call.text("until", "output")))


ROUTES = (("POST", "/attach", attach), ("POST", "/exec", attach))


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    started.clear()
    serving = await serve(tmp_path / "api.sock", ROUTES)
    yield tmp_path / "api.sock"
    await serving.close(0.1)
    for behind in started:
        behind.end()


async def open_stream(path: Path, script: str, query: str = "", version: str = "1.44", **headers: str) -> Client:
    client = await Client.connect(path)
    await client.send("POST", f"/v{version}/attach?script={script.replace(' ', '%20')}{query}", **headers)
    return client


def frames(data: bytes) -> dict[int, bytes]:
    """Everything of each stream, in a multiplexed transcript."""
    found = {1: b"", 2: b""}
    while data:
        stream, size = struct.unpack(">B3xL", data[:8])
        found[stream] += data[8 : 8 + size]
        data = data[8 + size :]
    return found


async def test_output_and_error_are_told_apart(path: Path) -> None:
    client = await open_stream(path, "echo out; echo err >%262; echo more", **UPGRADE)
    status, headers = await client.head()
    assert (status, headers["content-type"], headers["upgrade"]) == (101, MULTIPLEXED, "tcp")
    assert frames(await client.rest()) == {1: b"out\nmore\n", 2: b"err\n"}
    await asyncio.wait_for(started[0].closed.wait(), 1)
    await client.close()


@pytest.mark.parametrize("version, tty, kind", [("1.41", 0, RAW), ("1.42", 0, MULTIPLEXED), ("1.42", 1, RAW), ("1.24", 1, RAW)])
async def test_the_media_type_depends_on_version_and_terminal(path: Path, version: str, tty: int, kind: str) -> None:
    client = await open_stream(path, "echo hello", f"&tty={tty}", version, **UPGRADE)
    _, headers = await client.head()
    assert headers["content-type"] == kind
    data = await client.rest()
    assert (data if tty else frames(data)[1]) == b"hello\n"
    await client.close()


async def test_a_client_that_does_not_ask_for_an_upgrade(path: Path) -> None:
    client = await open_stream(path, "cat", version="1.24")
    status, headers = await client.head()
    assert (status, headers) == (200, {"content-type": RAW})
    client.writer.write(b"GET / HTTP/1.1\r\n\r\n")  # input, whatever it looks like
    client.writer.write_eof()
    assert frames(await client.rest())[1] == b"GET / HTTP/1.1\r\n\r\n"
    await client.close()


async def test_half_close_is_the_end_of_input_and_output_still_comes(path: Path) -> None:
    client = await open_stream(path, "wc -c; sleep 0.1; echo done", **UPGRADE)
    await client.head()
    client.writer.write(b"x" * 1000)
    client.writer.write_eof()
    assert frames(await asyncio.wait_for(client.rest(), 5))[1].split() == [b"1000", b"done"]
    await client.close()


async def test_a_half_close_right_behind_the_request(path: Path) -> None:
    client = await open_stream(path, "cat; echo end", **UPGRADE)
    client.writer.write_eof()
    assert (await client.head())[0] == 101
    assert frames(await client.rest())[1] == b"end\n"
    await client.close()


@pytest.mark.parametrize("until, transcript", [("output", b"a\nlate\n"), ("either", b"a\n")])
async def test_whether_the_end_of_input_ends_the_attachment(path: Path, until: str, transcript: bytes) -> None:
    client = await open_stream(path, "head -n 1; cat; sleep 0.3; echo late", f"&until={until}", **UPGRADE)
    await client.head()
    client.writer.write(b"a\n")
    await asyncio.sleep(0.1)
    client.writer.write_eof()
    assert frames(await asyncio.wait_for(client.rest(), 5))[1] == transcript
    await client.close()


async def test_input_without_output(path: Path) -> None:
    client = await open_stream(path, "exec >%26- 2>%26-; cat >/dev/null", "&until=input", **UPGRADE)
    await client.head()
    await asyncio.sleep(0.1)
    assert not started[0].closed.is_set()
    client.writer.write(b"a\n")
    client.writer.write_eof()
    assert await asyncio.wait_for(client.rest(), 5) == b""
    assert started[0].process.wait(2) == 0
    await client.close()


async def test_an_upgrade_whose_request_has_a_body(path: Path) -> None:
    """As `exec start`: first JSON, then the stream."""
    client = await Client.connect(path)
    await client.send("POST", "/exec?script=cat", b'{"Detach":false}', Content_Type="application/json", **UPGRADE)
    assert (await client.head())[0] == 101
    client.writer.write(b"input")
    client.writer.write_eof()
    assert frames(await client.rest())[1] == b"input"
    await client.close()


async def test_megabytes_both_ways(path: Path) -> None:
    client = await open_stream(path, "cat", **UPGRADE)
    await client.head()
    sent = os.urandom(8 << 20)

    async def send() -> None:
        for start in range(0, len(sent), 1 << 16):
            client.writer.write(sent[start : start + (1 << 16)])
            await client.writer.drain()
        client.writer.write_eof()

    sending = asyncio.create_task(send())
    assert frames(await asyncio.wait_for(client.rest(), 20))[1] == sent
    await sending
    await client.close()


async def test_a_client_that_does_not_read_holds_the_process_back(path: Path) -> None:
    """Nothing piles up in the daemon: what has been written fits the buffers on the way."""
    client = await open_stream(path, "exec cat /dev/zero", **UPGRADE)
    await client.head()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(0.5)
    transport = started[0].connection.transport
    assert transport is not None and transport.get_write_buffer_size() < 1 << 20
    before = _written(started[0].process.pid)
    await asyncio.sleep(0.3)
    assert _written(started[0].process.pid) == before < 4 << 20
    client.writer.transport.abort()


def _written(pid: int) -> int:
    with open(f"/proc/{pid}/io") as file:
        return int(dict(line.split(": ") for line in file.read().splitlines())["wchar"])


async def test_a_client_that_outruns_the_process_is_held_back(path: Path) -> None:
    client = await open_stream(path, "exec sleep 60", **UPGRADE)
    await client.head()
    sent = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            while True:
                client.writer.write(b"x" * (1 << 16))
                sent += 1 << 16
                await client.writer.drain()
    assert sent < 4 << 20
    client.writer.transport.abort()


async def test_a_client_that_vanishes_leaves_the_process_alone(path: Path) -> None:
    client = await open_stream(path, "exec sleep 60", **UPGRADE)
    await client.head()
    client.writer.transport.abort()
    await asyncio.wait_for(started[0].closed.wait(), 2)
    assert started[0].process.poll() is None


async def test_a_client_that_vanishes_after_its_half_close(path: Path) -> None:
    client = await open_stream(path, "exec sleep 60", **UPGRADE)
    await client.head()
    client.writer.write_eof()
    await asyncio.sleep(0.1)
    assert not started[0].closed.is_set()
    client.writer.transport.abort()
    await asyncio.wait_for(started[0].closed.wait(), 2)


async def test_detach_keys_end_the_attachment_only(path: Path) -> None:
    client = await open_stream(path, "cat", "&tty=1", **UPGRADE)
    await client.head()
    client.writer.write(b"ab\x10\x11")
    assert await asyncio.wait_for(client.rest(), 2) in (b"ab", b"")
    assert started[0].process.poll() is None
    await client.close()


# --- the same over TLS ---------------------------------------------------------------------------------------------
def make_certificates(directory: Path) -> None:
    """A certificate authority, one certificate for the server and one for a client; one of somebody else's."""
    config = directory / "openssl.cnf"
    config.write_text("[req]\ndistinguished_name=dn\n[dn]\n[ext]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", config]
    for name in ("ca", "stranger"):
        _run([*new, "-x509", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"], directory)
    for name in ("server", "client"):
        _run([*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"], directory)
        _run(["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
              "-extfile", config, "-extensions", "ext", "-out", f"{name}.pem"], directory)  # fmt: skip


def _run(argv: list[Any], directory: Path) -> None:
    subprocess.run(argv, cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    make_certificates(directory)
    return directory


@pytest.fixture
async def secure(tmp_path: Path, certificates: Path) -> AsyncIterator[Path]:
    """The same routes behind TLS, on a unix socket: no network is needed to speak it."""
    started.clear()
    context = server_context(*(str(certificates / name) for name in ("ca.pem", "server.pem", "server.key")))
    server = Server(Application(NO_ENGINE, ROUTES))
    path = tmp_path / "tls.sock"
    listener = await asyncio.get_running_loop().create_unix_server(TlsServer(context, server), str(path), backlog=1024)
    yield path
    listener.close()
    await server.shutdown(0.1)
    for behind in started:
        behind.end()


def client_context(certificates: Path, name: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


async def test_half_close_over_tls(secure: Path, certificates: Path) -> None:
    """A thread with a blocking client, because asyncio's cannot half-close TLS."""

    def talk() -> bytes:
        import socket

        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context(certificates, "client").wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(secure))

            def step(action: Any) -> Any:
                while True:
                    try:
                        return action()
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        data = sock.recv(1 << 16)
                        incoming.write(data) if data else incoming.write_eof()

            step(tls.do_handshake)
            head = "POST /attach?script=wc%20-c;sleep%200.2;echo%20done HTTP/1.1\r\nHost: docker\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n"
            tls.write(head.encode())
            reply = step(lambda: tls.read(1 << 16))
            tls.write(b"x" * 1000)
            try:
                tls.unwrap()  # close_notify
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
            while True:
                try:
                    data = step(lambda: tls.read(1 << 16))
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return reply
                if not data:
                    return reply
                reply += data

    reply = await asyncio.to_thread(talk)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames(body)[1].split() == [b"1000", b"done"]


async def test_tls_requests_and_large_answers(secure: Path, certificates: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(
        str(secure), ssl=client_context(certificates, "client"), server_hostname="localhost"
    )
    client = Client(reader, writer)
    assert (await client.ask("GET", "/nope"))[0] == 404
    await client.send("POST", "/attach?script=head%20-c%204000000%20/dev/zero", **UPGRADE)
    assert (await client.head())[0] == 101
    assert len(frames(await asyncio.wait_for(client.rest(), 10))[1]) == 4_000_000
    client.writer.transport.abort()


@pytest.mark.parametrize("name", [None, "stranger"])
async def test_tls_without_a_certificate_of_ours_is_refused(secure: Path, certificates: Path, name: str | None) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        reader, writer = await asyncio.open_unix_connection(
            str(secure), ssl=client_context(certificates, name), server_hostname="localhost"
        )
        await Client(reader, writer).ask("GET", "/nope")  # TLS 1.3 tells the client after its first bytes
    assert not started


async def test_strangers_that_say_nothing_do_not_use_up_descriptors(
    secure: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_HANDSHAKE_SECONDS", 300.0)
    before = len(os.listdir("/proc/self/fd"))
    silent = [await asyncio.open_unix_connection(str(secure)) for _ in range(400)]
    async with asyncio.timeout(30):
        await silent[0][0].read()  # the first one has made room, before its time is up
        reader, writer = await asyncio.open_unix_connection(
            str(secure), ssl=client_context(certificates, "client"), server_hostname="localhost"
        )
        assert (await Client(reader, writer).ask("GET", "/nope"))[0] == 404
    assert len(os.listdir("/proc/self/fd")) - before - len(silent) < 200
    for _, ours in (*silent, (reader, writer)):
        ours.transport.abort()


def test_unusable_certificates_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(Invalid, match=r"load TLS certificates .*: no such file or directory"):
        server_context("/nonexistent", "/nonexistent", "/nonexistent")
    with pytest.raises(Invalid, match=r"load TLS certificates .*x\.pem"):
        server_context(*[str(tmp_path / "x.pem")] * 3)
