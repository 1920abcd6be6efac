"""A compressed stream as uncompressed chunks, inflated by a thread of its own while the reader writes files.

Invariant: memory is bounded by `AHEAD` chunks of `CHUNK` bytes however well the input is packed, and a stream that
ends early raises `Invalid`. What the compression is, the first bytes tell (a media type may lie).
"""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import IO, Protocol, cast

import zstandard
from isal import igzip_lib

from firkin.errors import Invalid

CHUNK = 1 << 18
AHEAD = 16
_STEP = 1 << 18  # compressed bytes read at once
_DICTIONARY = 1 << 27  # bytes an xz stream may have kept at hand, twice what `xz -9` asks; its header may claim 4 GiB

Read = Callable[[int], bytes]  # at most so many bytes, b"" only at the end


class _Decompressor(Protocol):
    """What igzip_lib, bz2 and lzma share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


_DECOMPRESSORS: tuple[tuple[bytes, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b", lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _DICTIONARY)),
)
_CORRUPT: tuple[type[Exception], ...] = (
    cast(type[Exception], igzip_lib.IsalError),
    OSError,
    ValueError,
    EOFError,
    lzma.LZMAError,
)
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60)))  # a frame, a skippable one


class GrowingFile:
    """A file another process is still writing: `read` waits for more until `notices` (a pipe on which each byte
    means that the file has grown) is closed, which says that it is complete."""

    def __init__(self, fd: int, notices: int) -> None:
        self._fd, self._notices = fd, notices
        self._complete = False

    def read(self, most: int) -> bytes:
        while True:
            complete = self._complete
            data = os.read(self._fd, most)
            if data or complete:
                return data
            self._complete = not os.read(self._notices, 1 << 16)


def uncompressed(read: Read) -> Iterator[bytes]:
    """What `read` yields, decompressed; gzip, zstd, bzip2, xz or nothing at all."""
    head = read(_STEP)
    while 0 < len(head) < 6 and (more := read(_STEP)):
        head += more
    if head.startswith(_ZSTD):
        return _zstd(head, read)
    for magic, new in _DECOMPRESSORS:
        if head.startswith(magic):
            return _members(head, read, new)
    return _plain(head, read)


def _plain(data: bytes, read: Read) -> Iterator[bytes]:
    while data:
        yield data
        data = read(_STEP)


def _members(data: bytes, read: Read, new: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """One compressed member after another (pigz and estargz write many); zero padding may follow the last."""
    while data:
        member = new()
        try:
            while not member.eof:
                chunk = member.decompress(data, CHUNK)
                if chunk:
                    yield chunk
                data = b""
                if member.needs_input and not member.eof and not (data := read(_STEP)):
                    raise Invalid("decompress: truncated stream")
        except _CORRUPT as error:
            raise Invalid(f"decompress: {error}")
        data = member.unused_data.lstrip(b"\0")
        while not data and (more := read(_STEP)):
            data = more.lstrip(b"\0")


class _Prepended(io.RawIOBase):
    """`head`, then what `read` yields: the source zstandard wants."""

    def __init__(self, head: bytes, read: Read) -> None:
        self._head, self._read = head, read

    def read(self, most: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head or self._read(most)


def _zstd(head: bytes, read: Read) -> Iterator[bytes]:
    source = _Prepended(head, read)
    reader = zstandard.ZstdDecompressor().stream_reader(cast(IO[bytes], source), read_size=_STEP, read_across_frames=True)
    try:
        while chunk := reader.read(CHUNK):
            yield chunk
    except zstandard.ZstdError as error:
        raise Invalid(f"decompress: {error}")


class Counted:
    """Chunks of `source`, counted and digested as they pass; more than `limit` bytes of them are `Invalid`."""

    def __init__(self, source: Iterator[bytes], limit: int) -> None:
        self._source, self._limit = source, limit
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._source:
            self.size += len(chunk)
            if self.size > self._limit:
                raise Invalid(f"unpack layer: more than the {self._limit} bytes allowed")
            self._hash.update(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


def in_background(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """`chunks`, produced by a thread up to `AHEAD` chunks early; its error is raised here."""
    queue: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(AHEAD)

    def produce() -> None:
        try:
            for chunk in chunks:
                room.acquire()
                queue.put(chunk)
            queue.put(None)
        except BaseException as error:  # whatever it is belongs to the consumer
            queue.put(error)

    threading.Thread(target=produce, daemon=True).start()
    while (item := queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        room.release()
        yield item
