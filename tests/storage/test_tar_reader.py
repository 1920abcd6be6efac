"""The tar reader against bytes nobody meant as an archive, and against archives others wrote."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firkin.errors import Invalid
from firkin.storage import tar_header, tar_writer
from firkin.storage.tar_header import Entry
from firkin.storage.tar_reader import TarReader

SLOWLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = st.text(st.characters(blacklist_characters="\0/\n", codec="utf-8"), min_size=1, max_size=120).filter(
    lambda n: n not in (".", "..")
)
KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)


def in_chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, size: int = 1 << 20) -> list[tuple[Entry, bytes]]:
    """Every entry with its content, holes filled in."""
    reader = TarReader(in_chunks(data, size))
    found = []
    for entry in reader:
        content = bytearray(min(entry.size, 1 << 20) if entry.sparse is not None else 0)
        for offset, piece in reader.data():
            content[offset : offset + len(piece)] = piece
        found.append((entry, bytes(content)))
    return found


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo("/".join(draw(st.lists(NAMES, min_size=1, max_size=4))))
    info.type = draw(st.sampled_from(KINDS))
    info.mode, info.uid, info.gid = draw(st.integers(0, 0o7777)), draw(st.integers(0, 2**31)), draw(st.integers(0, 2**31))
    info.mtime = draw(st.integers(-(2**33), 2**40))
    info.linkname = draw(NAMES) if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    data = draw(st.binary(max_size=2000)) if info.isreg() else b""
    info.size = len(data)
    return info, data


def written(entries: list[tuple[tarfile.TarInfo, bytes]], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@SLOWLY
@given(st.lists(members(), max_size=5), st.sampled_from((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)), st.integers(1, 3000))
def test_what_tarfile_writes_is_what_we_read(entries: list[tuple[tarfile.TarInfo, bytes]], form: int, size: int) -> None:
    found = read(written(entries, form), size)
    assert len(found) == len(entries)
    for (info, data), (entry, content) in zip(entries, found, strict=True):
        assert entry.name.rstrip(b"/") == info.name.encode() and entry.kind == info.type and content == data
        assert (entry.mode, entry.uid, entry.gid, entry.link) == (info.mode, info.uid, info.gid, info.linkname.encode())
        assert entry.mtime == info.mtime * 1_000_000_000


@SLOWLY
@given(st.lists(members(), min_size=1, max_size=3), st.data())
def test_any_bytes_either_read_as_entries_within_the_stream_or_are_invalid(
    entries: list[tuple[tarfile.TarInfo, bytes]], data: st.DataObject
) -> None:
    """Archives with a few bytes changed and checksums made good again: the rest of the parser is reached."""
    archive = bytearray(written(entries, data.draw(st.sampled_from((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)))))
    for _ in range(data.draw(st.integers(1, 8))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        archive[156] = ord(data.draw(st.sampled_from("01234567xgLKSVD\0")))
    for at in range(0, len(archive) - 511, 512):
        if archive[at + 257 : at + 262] == b"ustar":
            archive[at + 148 : at + 156] = b" " * 8
            archive[at + 148 : at + 156] = b"%06o\0 " % sum(archive[at : at + 512])
    try:
        found = read(bytes(archive[: data.draw(st.integers(0, len(archive)))]))
    except Invalid:
        return
    assert sum(entry.stored for entry, _ in found) <= len(archive)
    for entry, content in found:
        assert entry.size >= len(content) and 0 <= entry.mode <= 0o7777 and b"\0" not in entry.name
        assert entry.sparse is not None or len(content) == entry.size


@SLOWLY
@given(st.binary(max_size=4096))
def test_pax_records_are_parsed_or_invalid(data: bytes) -> None:
    try:
        records = list(tar_header.pax_records(data))
    except Invalid:
        return
    assert sum(len(key) + len(value) for key, value in records) < len(data) or not data


@SLOWLY
@given(
    members(),
    st.dictionaries(st.binary(min_size=1, max_size=20).filter(lambda k: not set(k) & set(b"\0=")), st.binary(max_size=200)),
)
def test_what_we_write_both_can_read(one: tuple[tarfile.TarInfo, bytes], xattrs: dict[bytes, bytes]) -> None:
    info, data = one
    entry = Entry(info.name.encode(), info.type, info.mode, info.uid, info.gid, len(data), max(info.mtime, 0) * 1_000_000_000)
    entry.link, entry.xattrs = info.linkname.encode(), xattrs
    archive = tar_writer.header(entry) + data + tar_writer.padding(len(data)) + tar_writer.END
    [(ours, content)] = read(archive)
    assert (ours.name.rstrip(b"/"), ours.kind, ours.mode, ours.uid, ours.gid) == (
        entry.name,
        info.type,
        info.mode,
        info.uid,
        info.gid,
    )
    assert (ours.mtime, ours.link, ours.xattrs, content) == (entry.mtime, entry.link, xattrs, data)
    with tarfile.open(fileobj=io.BytesIO(archive)) as theirs:
        read_back = theirs.getmembers()[0]
        assert (read_back.name, read_back.mtime, read_back.uid) == (info.name, max(info.mtime, 0), info.uid)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        (slice(124, 136), b"\xff" * 12, "out of range"),
        (slice(124, 136), b"\x80" + b"\x7f" * 11, "out of range"),
        (slice(124, 136), b"77777777777\0", "truncated"),
        (slice(124, 136), b"-0000000001\0", "out of range"),
        (slice(108, 116), b"0x10000\0", "out of range"),
        (slice(156, 157), b"Z", "unknown type"),
        (slice(148, 156), b"0000000\0", "checksum"),
    ],
)
def test_headers_that_lie(field: slice, value: bytes, says: str) -> None:
    block = bytearray(tar_writer.header(Entry(b"f", tar_header.FILE, 0o644, 0, 0, 0, 0)))
    block[field] = value
    if says != "checksum":
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(Invalid, match=says):
        read(bytes(block) + bytes(1024))


@pytest.mark.parametrize(
    "runs", ["0,5,3,2", "0,5,10,9223372036854775807", "10,1", "0,3", "0,4,4,0,4,0,2,0", "1", "0,-1", "0,4,0,4"]
)
def test_sparse_maps_that_lie(runs: str) -> None:
    records = {"GNU.sparse.map": runs, "GNU.sparse.size": "9", "GNU.sparse.name": "f"}
    info = tarfile.TarInfo("x")
    info.pax_headers, info.size = records, 8
    with pytest.raises(Invalid):
        read(written([(info, b"12345678")], tarfile.PAX_FORMAT))


def test_a_huge_extended_header_is_not_read_into_memory() -> None:
    entry = Entry(b"x", tar_header.PAX, 0, 0, 0, (1 << 33) - 1, 0)
    with pytest.raises(Invalid, match="extended header of"):
        read(tar_writer.header(entry) + bytes(4096))


@pytest.mark.parametrize(
    ("text", "ns"),
    [(b"1.5", 1_500_000_000), (b"-1.25", -1_250_000_000), (b".5", 500_000_000), (b"7.1234567899", 7_123_456_789)],
)
def test_times(text: bytes, ns: int) -> None:
    assert tar_header.nanoseconds(text) == ns


def test_ends() -> None:
    header = tar_writer.header(Entry(b"f", tar_header.FILE, 0o644, 0, 0, 3, 0))
    for tail in (b"", bytes(509), bytes(509) + bytes(512), bytes(509) + bytes(1024) + b"padding of any kind"):
        assert [entry.name for entry, _ in read(header + b"123" + tail)] == [b"f"]
    assert read(b"") == []
