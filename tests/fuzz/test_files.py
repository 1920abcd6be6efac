"""Files that are not ours to trust: an image's accounts, logs and records after a crash of the machine, and DNS on the wire."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import tempfile
from functools import partial

import msgspec
from hypothesis import strategies as st

from firkin.errors import Internal
from firkin.model import Container, Endpoint, LogEntry, LogRequest
from firkin.network.dns import NameServer
from firkin.network.dns_wire import parse_query
from firkin.network.model import Network
from firkin.network.names import Directory, Member
from firkin.runtime import jsonlog, logfile
from firkin.runtime.accounts import find_account, home_of
from firkin.storage.records import read_record, write_record
from tests.api.samples import RUNNING
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import json_bytes, mutated, mutated_text

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:\nodd:x:-1:4294967295:a:b:c:d:e\n:::\nbig:x:%b:0::/:\n" % (
    b"9" * 30
)
GROUP = b"root:x:0:\nwheel:x:10:root,web\nodd:x:-1:web\nweb:x:1000:\n"


@fuzzed(
    mutated_text("web", "1000:10", "root:wheel", "odd", ":odd", "big", "4294967295", "-1"),
    st.lists(mutated_text("wheel", "10", "odd"), max_size=2),
    mutated(PASSWD),
    mutated(GROUP),
)
@remembered("odd", [], PASSWD, GROUP)
@remembered("web", [], PASSWD, GROUP)
@remembered("root", [], b"root:x:" + b"9" * 5000 + b":0::/:", b"")
@remembered("root", ["9" * 5000], b"", b"")
@remembered("0", [], b"root:x:0:0::/a\0b:", b"")
def test_accounts(user: str, groups: list[str], passwd: bytes, group: bytes) -> None:
    """Whatever an image's passwd and group say, an account has ids that setuid(2) takes for ids (-1 it takes for "leave as
    it is") and a home that can stand in an environment, or it is an OSError that says who is unknown."""
    try:
        found = find_account(user, groups, passwd, group)
    except OSError as error:
        assert error.errno == errno.EINVAL and error.filename
        return
    assert all(0 <= number < 2**31 for number in (found.uid, found.gid, *found.groups))
    assert "\0" not in home_of(found.uid, passwd)


LINES = b"".join(
    jsonlog.encode([b"one\n", b"\xff\xc3two"], stream, 1_700_000_000_123_456_789) for stream in ("stdout", "stderr")
)


@fuzzed(mutated(LINES, LINES * 3, b'{"log":"x","time":"2026-11-23T20:47:25Z"}\n'), st.one_of(st.none(), st.integers(0, 5)))
@remembered(b'{"a":' + b"[" * 100_000 + b"\n" + LINES, None)
@remembered(b'{"log":"\\ud800","time":"2026-11-23T20:47:25Z"}\n', None)
@remembered(b'{"log":"a","time":"2026-11-23T20:47:25.' + b"9" * 5000 + b'Z"}\n', None)
def test_logs(data: bytes, tail: int | None) -> None:
    """Whatever is in a log's file, reading it yields the entries there are, at most as many as were asked for, passing over
    what is none."""

    async def read(path: str) -> list[LogEntry]:
        return [entry async for entry in logfile.read(path, LogRequest(stdout=True, stderr=True, tail=tail))]

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        entries = asyncio.run(read(file.name))
    assert len(entries) <= (data.count(b"\n") if tail is None else tail)
    assert all(entry.stream in ("stdout", "stderr") and isinstance(entry.data, bytes) for entry in entries)


@fuzzed(st.lists(st.binary(max_size=40), max_size=5), st.booleans())
def test_output_survives_its_log(parts: list[bytes], last: bool) -> None:
    """Whatever a program prints, its log is lines of JSON that say it again, each byte that is not UTF-8 replaced."""
    data = b"\n".join(parts)
    pieces, rest = jsonlog.split(data, last)
    lines = jsonlog.encode(pieces, "stdout", 1).splitlines()
    said = "".join(json.loads(line)["log"] for line in lines)
    assert b"".join(pieces) + rest == data and not (last and rest)
    assert (
        said.replace("\ufffd", "") == b"".join(pieces).decode("utf-8", "ignore").replace("\ufffd", "")
        or b"\xef\xbf\xbd" in data
        or not data.isascii()
    )


RECORD = json.loads(msgspec.json.encode(RUNNING))


@fuzzed(json_bytes(RECORD))
@remembered(b"\xff")
@remembered(b'"\xff"')
@remembered(b'{"id":' + b"[" * 100_000)
def test_records(data: bytes) -> None:
    """Whatever is in a record's file, it is a container that reads the same when written again, or Internal."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "record.json")
        with open(path, "wb") as file:
            file.write(data)
        found = passes(partial(read_record, path, Container), Internal)
        if found:
            write_record(path, found)
            assert read_record(path, Container) == found


# --- DNS -----------------------------------------------------------------------------------------------------------
def question(name: bytes, kind: int, extra: bytes = b"", count: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b".")) + b"\0"
    return (
        b"\x12\x34\x01\x00"
        + count.to_bytes(2, "big")
        + b"\0\0\0\0"
        + (b"\0\1" if extra else b"\0\0")
        + labels
        + kind.to_bytes(2, "big")
        + b"\0\1"
        + extra
    )


OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
QUERIES = (question(b"web", 1), question(b"web.net", 28, OPT), question(b"2.0.0.10.in-addr.arpa", 12), question(b"b." * 31 + b"ip6.arpa", 12), question(b"WEB", 255), b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", question(b"\xff" * 60, 1), question(b"outside.example", 1))  # fmt: skip


class Outside(NameServer):
    """Sends nothing anywhere; nobody outside answers."""

    def __init__(self) -> None:
        endpoint = Endpoint("net", "n", ip_address="10.0.0.2", global_ipv6_address="fd00::2", dns_names=("web",))
        directory = Directory()
        directory.add("c", Member("web", endpoint, Network("n", "net", 0)))
        super().__init__(directory, "c", lambda: ())


SERVER = Outside()


@remembered(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x50" + b"b" * 80 + b"\0\0\x0c\0\x01", False)
@fuzzed(mutated(*QUERIES), st.booleans())
def test_dns(data: bytes, over_udp: bool) -> None:
    """Whatever a container sends to port 53, it is answered, forwarded or dropped: never an exception, and over UDP never
    an answer longer than the container said it takes."""
    query = parse_query(data)
    if query is None:
        return
    answer = SERVER._answer(query, over_udp=over_udp) or asyncio.run(SERVER._ask_outside(query, data, over_udp=over_udp))
    assert answer[:2] == data[:2]
    assert not over_udp or len(answer) <= 65535
