"""A running engine, asked anything: what no single parser's promise covers is how a handler uses what they yield."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import strategies as st

from tests.fuzz.rig import fuzzed, remembered
from tests.fuzz.samples import edited, edits, json_bytes, mutated_text
from tests.fuzz.test_api import EVERY_FLAG, EXEC, NETWORK, PLAIN, UPDATE
from tests.lab import Engine, Lab, UnixConnection, busybox_tar

UNFORESEEN = b"unforeseen failure"
ALLOWED = {200, 201, 204, 304, 400, 401, 403, 404, 409, 501, 503}
PATIENCE = 5.0  # seconds


class Asked:
    """An engine in a laboratory with one container that runs, and a connection to it."""

    def __init__(self, lab: Lab) -> None:
        self.engine = Engine(lab).start()
        self.engine.firkin("import", str(busybox_tar(lab.dir)), "busybox:test")
        self.engine.firkin("run", "-d", "--name", "subject", "busybox:test", "sleep", "100000")
        self.log = Path(lab.dir / "engine.log")
        self.read = self.log.stat().st_size

    def call(self, method: str, path: str, body: bytes | None) -> int:
        """The status; any other connection than a new one might still carry the last answer."""
        connection = UnixConnection(self.engine.sock, PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            reply.read(1 << 20)
            return reply.status
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes until the engine closes, or has nothing more to say."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.engine.sock)
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: sock.recv(1 << 16), b""))
            except (BrokenPipeError, ConnectionResetError):
                return b""

    def complaint(self) -> str:
        """What the log tells, since the last time, that nobody foresaw."""
        with open(self.log, "rb") as file:
            file.seek(self.read)
            news = file.read()
        self.read += len(news)
        return news.decode(errors="replace")[-3000:] if UNFORESEEN in news else ""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Asked]:
    lab = Lab()
    try:
        yield Asked(lab)
    finally:
        lab.close()


def judge(daemon: Asked, status: int, request: str, kernel: bool = False) -> None:
    """`kernel`: it may have refused a limit or an address, which is nobody's fault but the request's."""
    complaint = daemon.complaint()
    assert not complaint, f"{request}: {complaint}"
    assert status in ALLOWED or (kernel and status == 500), f"{request}: {status}"
    assert daemon.call("GET", "/_ping", None) == 200


# --- bodies --------------------------------------------------------------------------------------------------------
HARMLESS = {
    key: value
    for key, value in EVERY_FLAG["HostConfig"].items()
    if key not in ("Binds", "Mounts", "VolumesFrom", "Devices", "Links")
}
CREATE = [
    {**EVERY_FLAG, "Image": "busybox:test", "HostConfig": {**HARMLESS, "NetworkMode": "none"}, "NetworkingConfig": {}},
    {
        **PLAIN,
        "Image": "busybox:test",
        "HostConfig": {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "1"}]}},
    },
]
VOLUME = {
    "Name": "v",
    "Driver": "local",
    "DriverOpts": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"},
    "Labels": {"a": "b"},
}
CONNECT = {
    "Container": "subject",
    "EndpointConfig": {"IPAMConfig": {"IPv4Address": "172.30.0.5"}, "Aliases": ["x"], "MacAddress": "02:42:ac:11:00:09"},
}
BODIES = st.one_of(
    st.tuples(st.just("/containers/create"), json_bytes(*CREATE)),
    st.tuples(st.just("/containers/create"), json_bytes(*CREATE)),
    st.tuples(st.just("/containers/subject/exec"), json_bytes(EXEC)),
    st.tuples(st.just("/containers/subject/update"), json_bytes(UPDATE)),
    st.tuples(st.just("/networks/create"), json_bytes(NETWORK)),
    st.tuples(st.just("/networks/bridge/connect"), json_bytes(CONNECT)),
    st.tuples(st.just("/networks/bridge/disconnect"), json_bytes({"Container": "nobody", "Force": True})),
    st.tuples(st.just("/volumes/create"), json_bytes(VOLUME)),
    st.tuples(st.just("/commit?container=nobody"), json_bytes(PLAIN)),
    st.tuples(st.just("/auth"), json_bytes({"username": "a", "password": "b", "serveraddress": "127.0.0.1:1"})),
    st.tuples(st.just("/firkin/plan"), json_bytes(*CREATE)),
    st.tuples(st.just("/firkin/images/from-host"), json_bytes({"Programs": ["no-such-program"], "Tag": "t"})),
)  # fmt: skip


@fuzzed(BODIES)
@remembered(("/containers/subject/update", b'{"RestartPolicy": "x"}'))
@remembered(("/containers/create", b'{"Image": "busybox:test", "StopSignal": "' + b"9" * 5000 + b'"}'))
def test_bodies(asked: tuple[str, bytes], daemon: Asked) -> None:
    """Whatever the body of a request, it is done or refused with a reason that somebody thought of, and the engine goes
    on."""
    path, body = asked
    if re.search(rb'"(?i:binds|mounts|volumesfrom|devices)"\s*:\s*(?!null|\[\])', body):
        return  # made-up paths of this machine are not to be made
    judge(daemon, daemon.call("POST", path, body), f"POST {path} {body[:2000]!r}", kernel=True)
    if path in ("/containers/create", "/networks/create", "/volumes/create"):
        tidy(daemon)


def tidy(daemon: Asked) -> None:
    """Leave the container under test, and nothing else."""
    for kind, key in (("containers", "Id"), ("networks", "Id"), ("volumes", "Name")):
        connection = UnixConnection(daemon.engine.sock, PATIENCE)
        found: Any = connection.call("GET", f"/{kind}/json?all=1" if kind == "containers" else f"/{kind}")[1]
        connection.close()
        for one in found["Volumes"] if kind == "volumes" else found:
            if "/subject" not in one.get("Names", ()) and one.get("Name") not in ("bridge", "host", "none"):
                daemon.call("DELETE", f"/{kind}/{quote(one[key], safe='')}?force=1&v=1", None)


# --- query values --------------------------------------------------------------------------------------------------
VALUES = mutated_text("1", "0", "-1", "true", "all", "10", "1136073600.5", "ctrl-p,ctrl-q", "SIGWINCH", "busybox:test", "linux/amd64", '{"os":"linux"}', '{"status":["running"]}', '{"until":["24h"],"label":["a=b"],"name":["x"],"reference":["a*"],"dangling":["1"],"before":["subject"]}', "-ef", "/etc/passwd", "next-exit")  # fmt: skip
GETS = {
    "GET /containers/json": ("all", "limit", "size", "filters"),
    "GET /containers/subject/json": ("size",),
    "GET /containers/subject/top": ("ps_args",),
    "GET /containers/subject/logs": ("stdout", "stderr", "since", "until", "tail", "timestamps", "details"),
    "GET /containers/subject/archive": ("path",),
    "HEAD /containers/subject/archive": ("path",),
    "PUT /containers/subject/archive": ("path", "noOverwriteDirNonDir", "copyUIDGID"),
    "POST /containers/subject/resize": ("h", "w"),
    "POST /containers/nobody/stop": ("t", "signal"),
    "POST /containers/nobody/wait": ("condition",),
    "POST /containers/subject/rename": ("name",),
    "GET /images/json": ("all", "filters", "shared-size"),
    "GET /images/busybox:test/json": ("platform",),
    "GET /images/search": ("term", "limit", "filters"),
    "POST /images/busybox:test/tag": ("repo", "tag"),
    "POST /images/create": ("fromImage", "tag", "platform", "fromSrc", "changes", "message", "repo"),
    "DELETE /images/nothing": ("force", "noprune", "platforms"),
    "GET /networks": ("filters",),
    "GET /volumes": ("filters",),
    "POST /networks/prune": ("filters",),
    "GET /events": ("since", "filters", "until"),
    "GET /system/df": ("type", "verbose"),
    "GET /firkin/containers/subject/isolation": ("x",),
}  # fmt: skip


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, str]:
    route = draw(st.sampled_from(sorted(GETS)))
    method, path = route.split(" ")
    given = {name: draw(VALUES) for name in GETS[route] if draw(st.booleans())}
    if path == "/events":
        given["until"] = draw(st.sampled_from(("1", "1.5", "x")))  # or it would go on for ever
    given.pop("fromImage", None) if given.get("fromImage", "").count(".") else None  # no name to look up
    encoded = "&".join(f"{name}={quote(value.encode('utf-8', 'surrogateescape'), safe='')}" for name, value in given.items())
    return method, f"{path}?{encoded}"


@fuzzed(queries())
@remembered(("GET", "/containers/subject/logs?stdout=1&tail=" + "9" * 5000))
@remembered(("GET", "/images/busybox:test/json?platform={"))
@remembered(("GET", "/images/busybox:test/json?platform=" + quote('{"a":' + "[" * 3000)))
@remembered(("POST", "/containers/subject/kill?signal=" + "9" * 5000))
@remembered(("GET", "/containers/json?filters=" + quote(json.dumps({"exited": ["9" * 5000]}))))
@remembered(("GET", "/images/json?filters=" + quote(json.dumps({"until": ["9" * 400]}))))
@remembered(("GET", "/containers/json?limit=" + "9" * 30))
@remembered(("HEAD", "/containers/subject/archive?path=%00"))
@remembered(("HEAD", "/containers/subject/archive?path=" + "a/" * 4000))
@remembered(("HEAD", "/containers/subject/archive?path=%FF"))
def test_queries(asked: tuple[str, str], daemon: Asked) -> None:
    """Whatever the values in a query, the request is done or refused with a reason that somebody thought of, and the engine
    goes on."""
    method, path = asked
    try:
        status = daemon.call(method, path, b"" if method in ("POST", "PUT") else None)
    except http.client.HTTPException:
        status = 400  # the answer began and broke off: the log says why
    judge(daemon, status, f"{method} {path}", kernel="/top?" in path)  # or ps(1) has
    if "/rename" in path:
        back(daemon)


def back(daemon: Asked) -> None:
    connection = UnixConnection(daemon.engine.sock, PATIENCE)
    (one,) = connection.call("GET", "/containers/json")[1]
    connection.close()
    daemon.call("POST", f"/containers/{one['Id']}/rename?name=subject", b"")


# --- bytes ---------------------------------------------------------------------------------------------------------
REQUESTS = (
    b"GET /v1.43/containers/json?all=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"POST /containers/create?name=%41 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1.43/exec/x/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HEAD /_ping HTTP/1.0\r\nExpect: 100-continue\r\nX-Registry-Auth: e30=\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
    b"GET /containers/%2e%2e%2f/json HTTP/1.1\r\nHost: x\r\n\r\nGET /../x HTTP/1.1\r\nHost: x\r\n\r\n",
)  # fmt: skip


@fuzzed(st.sampled_from(REQUESTS), edits(4))
@remembered(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", [])
def test_bytes(request: bytes, changes: Any, daemon: Asked) -> None:
    """Whatever bytes come in, they are answered as HTTP or the connection is closed, and the engine goes on."""
    answer = daemon.raw(edited(request, changes))
    assert not answer or re.match(rb"HTTP/\d\.\d ", answer), answer[:200]
    judge(daemon, 500 if b"HTTP/1.1 500" in answer else 200, repr(edited(request, changes)))
