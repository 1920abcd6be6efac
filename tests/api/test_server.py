"""HTTP as Docker's clients use it: versions, errors, keep-alive, streams that outlive their request's handler, or do not."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.api.hosts import Serving
from firkin.api.server import Application, Server, _is_own_name
from firkin.api.versions import NEWEST, OLDEST
from firkin.errors import Conflict, FirkinError, Forbidden, Internal, Invalid, NotFound, NotModified, Unavailable, Unsupported
from tests.api.rig import NO_ENGINE, Client, serve

SOURCE = str(Path(__file__).parent.parent.parent / "src")
KINDS = {
    "invalid": Invalid,
    "forbidden": Forbidden,
    "not-found": NotFound,
    "conflict": Conflict,
    "not-modified": NotModified,
    "internal": Internal,
    "not-implemented": Unsupported,
    "unavailable": Unavailable,
}
happened: list[str] = []


async def say_version(call: Call) -> web.StreamResponse:
    return answers.json({"version": str(call.dialect), **call.params})


async def fail(call: Call) -> web.StreamResponse:
    if call.params["id"] == "surprise":
        raise KeyError("nobody expects this")
    if call.params["id"] == "os":
        raise FileNotFoundError(2, "No such file or directory", "/etc/nothing")
    raise KINDS[call.params["id"]]("the reason")


async def read_body(call: Call) -> web.StreamResponse:
    return answers.json(await call.json())


async def drip(call: Call) -> web.StreamResponse:
    """Headers at once, then nothing until the client goes."""
    await call.stream("application/json")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        happened.append("cancelled")
        raise
    raise AssertionError("nobody left")


async def break_off(call: Call) -> web.StreamResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"some"
        raise Internal("disk on fire")

    return await call.send("application/x-tar", chunks())


async def endless(call: Call) -> web.StreamResponse:
    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            happened.append("closed")

    return await call.send("application/x-tar", chunks())


async def fail_early(call: Call) -> web.StreamResponse:
    async def chunks() -> AsyncIterator[bytes]:
        raise NotFound("no such thing")
        yield b""

    return await call.send("application/x-tar", chunks())


async def slow_change(call: Call) -> web.StreamResponse:
    await asyncio.sleep(0.2)
    happened.append("changed")
    return answers.empty()


ROUTES = (
    ("GET", "/version", say_version),
    ("HEAD", "/version", say_version),
    ("GET", "/images/{name}/json", say_version),
    ("DELETE", "/images/{name}", say_version),
    ("GET", "/fail/{id}", fail),
    ("POST", "/body", read_body),
    ("GET", "/drip", drip),
    ("GET", "/broken", break_off),
    ("GET", "/early", fail_early),
    ("GET", "/endless", endless),
    ("POST", "/slow", slow_change),
)


async def eventually(expected: list[str]) -> None:
    for _ in range(200):
        if happened == expected:
            return
        await asyncio.sleep(0.01)
    assert happened == expected


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    happened.clear()
    serving = await serve(tmp_path / "api.sock", ROUTES)
    client = await Client.connect(tmp_path / "api.sock")
    yield client
    await client.close()
    await serving.close()
    assert not (tmp_path / "api.sock").exists()


async def test_the_socket_is_for_its_owner_and_group(client: Client, tmp_path: Path) -> None:
    assert stat.S_IMODE(os.stat(tmp_path / "api.sock").st_mode) == 0o660


async def test_versions(client: Client) -> None:
    for path, version in (("/version", NEWEST), (f"/v1.{OLDEST}/version", OLDEST), ("/v1.44/version", 44)):
        status, headers, body = await client.ask("GET", path)
        assert (status, json.loads(body)["version"], headers["api-version"]) == (200, f"1.{version}", f"1.{NEWEST}")
    assert headers["server"].startswith("firkin/") and headers["ostype"] == "linux"
    status, _, body = await client.ask("GET", "/v1.99/version")
    assert (status, json.loads(body)["message"]) == (
        400,
        f"client version 1.99 is too new. Maximum supported API version is 1.{NEWEST}",
    )
    status, _, body = await client.ask("GET", "/v1.12/version")
    assert (status, json.loads(body)["message"]) == (
        400,
        "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    )


async def test_image_names_have_slashes(client: Client) -> None:
    _, _, body = await client.ask("GET", "/v1.44/images/localhost:5000/team/app:1/json")
    assert json.loads(body)["name"] == "localhost:5000/team/app:1"
    _, _, body = await client.ask("DELETE", "/images/team%2Fapp@sha256:00")
    assert json.loads(body)["name"] == "team/app@sha256:00"


@pytest.mark.parametrize("method, path", [("GET", "/nope"), ("PUT", "/version"), ("GET", "/v1.44"), ("GET", "/images//json")])
async def test_no_such_page(client: Client, method: str, path: str) -> None:
    status, _, body = await client.ask(method, path)
    assert (status, json.loads(body)) == (404, {"message": "page not found"})


@pytest.mark.parametrize(
    "kind, status",
    [
        ("invalid", 400),
        ("forbidden", 403),
        ("not-found", 404),
        ("conflict", 409),
        ("internal", 500),
        ("not-implemented", 501),
        ("unavailable", 503),
    ],
)
async def test_each_kind_of_error_is_a_status(client: Client, kind: str, status: int) -> None:
    assert (await client.ask("GET", f"/fail/{kind}"))[::2] == (status, b'{"message":"the reason"}\n')


async def test_what_is_so_already_is_304_without_a_body(client: Client) -> None:
    status, _, body = await client.ask("GET", "/fail/not-modified")
    assert (status, body) == (304, b"")
    assert (await client.ask("GET", "/version"))[0] == 200  # the connection is in step


async def test_unforeseen_failures_are_500_and_the_connection_lives_on(client: Client) -> None:
    status, _, body = await client.ask("GET", "/fail/surprise")
    assert (status, json.loads(body)["message"]) == (500, "KeyError: 'nobody expects this'")
    status, _, body = await client.ask("GET", "/fail/os")
    assert (status, json.loads(body)["message"]) == (500, "/etc/nothing: no such file or directory")


@pytest.mark.parametrize(
    "body, kind, message",
    [
        (b"", "application/json", "invalid JSON: got EOF while reading request body"),
        (b"{", "application/json", "invalid JSON: Input data was truncated"),
        (b"[]", "application/json", "invalid JSON: want an object, not list"),
        (b"{} {}", "application/json", "invalid JSON: JSON is malformed: trailing characters (byte 4)"),
        (b'"\xff"', "application/json", "invalid JSON: "),
        (b"{}", "text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
        (b"[" * 100_000, "application/json", "invalid JSON: "),
    ],
)
async def test_bad_bodies(client: Client, body: bytes, kind: str, message: str) -> None:
    status, _, answer = await client.ask("POST", "/body", body, Content_Type=kind)
    assert status == 400
    assert json.loads(answer)["message"].startswith(message)


async def test_a_body_too_large_for_memory_is_refused(client: Client) -> None:
    await client.send("POST", "/body", Content_Type="application/json", Content_Length=str(100 << 20))
    for _ in range(9):
        client.writer.write(b" " * (1 << 20))
    status, _ = await client.head()
    assert status == 413


async def test_expect_continue(client: Client) -> None:
    await client.send("POST", "/body", Content_Type="application/json", Content_Length="2", Expect="100-continue")
    assert (await client.head())[0] == 100
    client.writer.write(b"{}")
    assert (await client.answer())[::2] == (200, b"{}\n")


async def test_a_client_that_leaves_ends_a_stream(client: Client, tmp_path: Path) -> None:
    other = await Client.connect(tmp_path / "api.sock")
    await other.send("GET", "/drip")
    status, headers = await asyncio.wait_for(other.head(), 2)
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    await other.close()
    await eventually(["cancelled"])


async def test_a_client_that_leaves_does_not_end_a_change(client: Client, tmp_path: Path) -> None:
    other = await Client.connect(tmp_path / "api.sock")
    await other.send("POST", "/slow")
    await asyncio.sleep(0.05)
    await other.close()
    await eventually(["changed"])


async def test_an_answer_that_breaks_off_is_seen_as_broken(client: Client) -> None:
    await client.send("GET", "/broken")
    assert (await client.head())[0] == 200
    rest = await asyncio.wait_for(client.rest(), 2)
    assert rest == b"4\r\nsome\r\n"  # no last chunk


async def test_a_failure_before_the_first_byte_is_an_error_response(client: Client) -> None:
    assert (await client.ask("GET", "/early"))[::2] == (404, b'{"message":"no such thing"}\n')


async def test_a_client_that_does_not_wait_for_the_end_is_no_news(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = await Client.connect(tmp_path / "api.sock")
    await other.send("GET", "/endless")
    await other.head()
    other.writer.transport.abort()
    await eventually(["closed"])
    assert not caplog.records


@pytest.mark.parametrize(
    "host, own",
    [
        ("127.0.0.1:2376", True),
        ("[::1]:2376", True),
        ("localhost", True),
        (socket.gethostname(), True),
        (socket.gethostname() + ".example.com:2376", True),
        ("attacker.example:2376", False),
        ("", False),
    ],
)
def test_host_names_of_this_machine(host: str, own: bool) -> None:
    assert _is_own_name(host) is own


def test_sockets_from_systemd(tmp_path: Path) -> None:
    """sd_listen_fds(3): from descriptor 3 on, for the process that LISTEN_PID names."""
    code = "from firkin.api.hosts import inherited_sockets; print([s.getsockname() for s in inherited_sockets()])"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        run = functools.partial(subprocess.run, close_fds=False, capture_output=True, text=True)
        shell = f"exec env LISTEN_PID=$$ LISTEN_FDS=1 {sys.executable} -c '{code}'"
        done = run(["sh", "-c", shell], preexec_fn=lambda: os.dup2(sock.fileno(), 3), env={**os.environ, "PYTHONPATH": SOURCE})
        assert done.stdout == f"['{tmp_path}/s']\n", done.stderr
        assert "no sockets were passed" in run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": SOURCE}).stderr


@pytest.mark.parametrize(
    "host, message",
    [
        ("tcp://127.0.0.1:2375", "without TLS client certificates anyone who can connect would be root"),
        ("http://x", "want unix://PATH, tcp://HOST:PORT or fd://"),
        ("unix:///proc/nothing/x.sock", "listen on unix:///proc/nothing/x.sock: no such file or directory"),
    ],
)
async def test_hosts_that_cannot_be_listened_on(host: str, message: str) -> None:
    with pytest.raises(FirkinError, match=message):
        await Serving(Server(Application(NO_ENGINE, ROUTES))).listen(host, "", None)


async def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    for version in (24, 30, 44):
        await client.send("GET", f"/v1.{version}/version")
    answers = [json.loads((await client.answer())[2])["version"] for _ in range(3)]
    assert answers == ["1.24", "1.30", "1.44"]


async def test_a_half_closed_client_still_gets_its_answer(client: Client) -> None:
    await client.send("POST", "/slow")
    client.writer.write_eof()
    assert (await client.answer())[0] == 204
    assert await asyncio.wait_for(client.rest(), 2) == b""


async def test_garbage_is_400(client: Client) -> None:
    client.writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    assert (await client.head())[0] == 400


async def test_closing_cuts_off_streams(tmp_path: Path) -> None:
    serving = await serve(tmp_path / "two.sock", ROUTES)
    client = await Client.connect(tmp_path / "two.sock")
    await client.send("GET", "/drip")
    await client.head()
    began = time.monotonic()
    await serving.close(0.1)
    assert await asyncio.wait_for(client.rest(), 2) == b""
    assert time.monotonic() - began < 2
    await client.close()


async def test_a_stale_socket_is_replaced_and_a_new_one_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    first = await serve(path, ROUTES)
    second = await serve(path, ROUTES)
    await first.close()
    client = await Client.connect(path)
    assert (await client.ask("GET", "/version"))[0] == 200
    await client.close()
    await second.close()
