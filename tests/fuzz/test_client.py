"""What comes back to the client, from a daemon that may be anybody's and a container that is hostile."""

from __future__ import annotations

import io
import os
import socket
import struct
import tarfile
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from firkin.cli import copying, jsontext
from firkin.cli.commands import cp
from firkin.cli.errors import Failure
from firkin.cli.http import Connection
from firkin.cli.stream import Frames
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import edited, edits, json_bytes, mutated, mutated_text
from tests.fuzz.test_archives import ORDINARY
from tests.storage.rig import folder, hard_link, link, member, tar_of

DOCUMENT = {"Id": "x", "State": {"Pid": 3}, "List": [1, {"a": "b"}], "Text": "t", "Map": {"k": "v"}}


# --- what a daemon answers -----------------------------------------------------------------------------------------
@fuzzed(
    st.lists(st.tuples(st.sampled_from((0, 1, 2, 3, 255)), st.binary(max_size=20)), max_size=5),
    edits(3),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_frames(said: list[tuple[int, bytes]], changes: Any, cuts: list[int]) -> None:
    """However the multiplexed stream is cut, the same bytes come out on the same streams, and never more than went in."""
    whole = b"".join(struct.pack(">BxxxI", stream, len(data)) + data for stream, data in said)
    for stream in (whole, edited(whole, changes)):
        outcome = []
        for size in (len(stream) or 1, *cuts):
            frames, out = Frames(), {1: b"", 2: b""}
            for at in range(0, len(stream), size):
                for number, piece in frames.feed(stream[at : at + size]):
                    out[number] += piece
            outcome.append(out)
        assert all(out == outcome[0] for out in outcome) and sum(map(len, outcome[0].values())) <= len(stream)
    honest, frames = {1: b"", 2: b""}, Frames()
    for number, piece in frames.feed(whole):
        honest[number] += piece
    assert honest == {1: b"".join(d for s, d in said if s != 2), 2: b"".join(d for s, d in said if s == 2)}


RESPONSES = (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nT: x\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 101 UP\r\n\r\nraw", b"HTTP/1.0 500 X\r\n\r\nuntil the end")  # fmt: skip


def answer(data: bytes) -> bytes:
    """What the client makes of an answer of these bytes, behind which the daemon closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=_send, args=(theirs, data))
        sender.start()
        try:
            return Connection(ours).response().read()
        finally:
            ours.close()
            theirs.close() if not sender.is_alive() else None
            sender.join()


def _send(sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


@fuzzed(mutated(*RESPONSES))
@remembered(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nokokok\r\n0\r\n\r\n")
@remembered(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nokokokok")
@remembered(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nok")
@remembered(b"HTTP/1.1\r\n\r\n")
@remembered(b"a" * (4 << 20))
def test_http(data: bytes) -> None:
    """Whatever a daemon answers, it is a body no longer than what was sent, or a Failure."""
    found = passes(lambda: answer(data), Failure)
    assert found is None or len(found) <= len(data)


@fuzzed(
    st.one_of(json_bytes(DOCUMENT, [], 3), mutated(b'{"a": ["b\\u00e9", 1.5e3]}{"x":{}}')).map(
        lambda data: data.decode("utf-8", "replace")
    )
)
@remembered("[" * 100_000)
@remembered('{"a": "b\\')
@remembered('{"a": "b')
@remembered("9" * 5000)
def test_daemons_json(text: str) -> None:
    """Whatever a daemon sends for JSON, it is decoded or a ValueError; laid out over lines it means the same."""
    value = passes(lambda: jsontext.loads(text), ValueError)
    passes(lambda: list(jsontext.documents(text)), ValueError)
    laid_out = passes(lambda: jsontext.indent(text), ValueError)
    if value is not None and laid_out is not None and text.strip()[-1:] in ("}", "]"):
        assert jsontext.loads(laid_out) == value or value != value


@fuzzed(mutated_text("eyJuYW1lIjogIngiLCAibW9kZSI6IDIxNDc0ODQwOTYsICJsaW5rVGFyZ2V0IjogIi9hIn0=", "e30=", "W10="))
@remembered("WzFd")
@remembered("e30")
@remembered("\udcff")
def test_path_stat(text: str) -> None:
    """Whatever a daemon says of a path, it is a file's mode and link, or a Failure."""
    found = passes(lambda: cp._decode(text), Failure)
    assert found is None or (isinstance(found["mode"], int) and isinstance(found["linkTarget"], str))


# --- what a container holds ----------------------------------------------------------------------------------------
COPIES = (
    ORDINARY,
    tar_of(folder("d"), link("d/x", "/VICTIM"), member("d/x/file", b"1")),
    tar_of(folder("d"), link("d/x", "/VICTIM/file"), member("d/x", b"1")),
    tar_of(folder("d"), hard_link("d/h", "../victim/file"), member("../victim/new", b"1")),
    tar_of(link("d", "/VICTIM"), folder("d", mode=0o700), member("d/f", b"1")),
)


@fuzzed(st.sampled_from(COPIES), edits(4), st.sampled_from((("d", "d"), ("d", "e"), (".", "."))))
@remembered(COPIES[2], [], ("d", "d"))
@remembered(tar_of(link("d", "/VICTIM/file"), member("d", b"1")), [], ("d", "d"))
@remembered(tar_of(folder("d"), hard_link("d/h", "/VICTIM/file"), member("d/h", b"1")), [], ("d", "d"))
@remembered(tar_of(folder("d"), link("d/x", "/VICTIM"), folder("d/x", mode=0o700)), [], ("d", "d"))
@remembered(tar_of(folder("d"), link("d/x", "/VICTIM/new"), hard_link("d/x", "d/x"), member("d/x", b"1")), [], ("d", "d"))
@remembered(tar_of(member("..", b"1")), [], (".", "."))
def test_copying_out(archive: bytes, changes: Any, renamed: tuple[str, str]) -> None:
    """Whatever archive a container sends to `cp`, it is unpacked or a Failure, and nothing outside of the directory is
    written, linked to or changed."""
    with tempfile.TemporaryDirectory(prefix="firkin-cp-") as directory:
        target, victim = Path(directory, "target"), Path(directory, "victim")
        target.mkdir()
        victim.mkdir()
        (victim / "file").write_text("host's own")
        before = outside(victim)
        data = edited(refilled(archive, str(victim)), changes)
        passes(lambda: copying.unpack(iter([data]), str(target), renamed), Failure)
        assert outside(victim) == before and sorted(os.listdir(directory)) == ["target", "victim"]


def outside(victim: Path) -> list[Any]:
    def seen(path: Path) -> Any:
        info = path.lstat()
        return str(path), info.st_mode, info.st_uid, info.st_mtime_ns, info.st_nlink

    return [*map(seen, (victim, *sorted(victim.iterdir()))), (victim / "file").read_bytes()]


def refilled(archive: bytes, victim: str) -> bytes:
    """`archive` with /VICTIM replaced in its links, headers made good again."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for entry in old:
            entry.linkname = entry.linkname.replace("/VICTIM", victim)
            new.addfile(entry, old.extractfile(entry) if entry.isreg() else None)
    return out.getvalue()
