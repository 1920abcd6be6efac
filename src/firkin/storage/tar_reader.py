"""Read a tar stream: bytes in, entries and their data out, one pass, no file ever touched.

Invariant: for any bytes at all, reading either yields entries whose data lies wholly within the stream, in order, or
raises `Invalid`; memory stays bounded whatever sizes the headers claim.
Formats: see `tar_header` and `tar_sparse`.
"""

from __future__ import annotations

from collections.abc import Iterator

from firkin.errors import Invalid
from firkin.storage import tar_header, tar_sparse
from firkin.storage.tar_header import BLOCK, ZERO_BLOCK, Entry, decimal, number

MAX_EXTENSION = 1 << 20  # bytes of one extended header or long name; what Go's archive/tar, hence Docker, allows


class ByteSource:
    """Chunks of any size as a stream of bytes; data inside one chunk is handed on without a copy."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = memoryview(b"")
        self._at = 0

    def take(self, most: int) -> memoryview:
        """The next bytes, at least one and at most `most`; empty only at the end of the stream."""
        while self._at == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._chunk, self._at = memoryview(chunk), 0
        piece = self._chunk[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end of the stream."""
        piece = self.take(count)
        if len(piece) == count:
            return bytes(piece)
        parts, have = [piece], len(piece)
        while have < count and piece:
            piece = self.take(count - have)
            parts.append(piece)
            have += len(piece)
        return b"".join(parts)


class TarReader:
    """Iterate for entries; before asking for the next one, read its data with `data()` or leave it to be skipped."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._source = ByteSource(chunks)
        self._entry: Entry | None = None
        self._left = 0  # of the present entry's stored data
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        records: list[tuple[bytes, bytes]] = []
        long_name = long_link = b""
        while (block := self._next_header()) is not None:
            entry = tar_header.parse(block)
            self._begin(entry)
            if entry.kind == tar_header.PAX:
                records = list(tar_header.pax_records(self._extension()))
            elif entry.kind == tar_header.GNU_LONG_NAME:
                long_name = self._extension().partition(b"\0")[0]
            elif entry.kind == tar_header.GNU_LONG_LINK:
                long_link = self._extension().partition(b"\0")[0]
            elif entry.kind not in (tar_header.PAX_GLOBAL, tar_header.GNU_VOLUME):  # both ignored, as Docker does
                tar_header.apply_pax(entry, records)
                entry.name, entry.link = long_name or entry.name, long_link or entry.link
                self._begin(entry)
                self._find_sparse_map(entry, block, records)
                records, long_name, long_link = [], b"", b""
                yield entry

    def data(self) -> Iterator[tuple[int, memoryview]]:
        """The present entry's content as (offset in the file, bytes); what no piece covers is a hole."""
        assert self._entry is not None
        runs = self._entry.sparse
        for offset, length in runs if runs is not None else [(0, self._left)]:
            while length:
                piece = self._take(length)
                yield offset, piece
                offset += len(piece)
                length -= len(piece)

    def drain(self) -> None:
        """Read whatever follows the archive's end, so that a digest covers the whole stream."""
        while self._source.take(1 << 20):
            pass

    def _begin(self, entry: Entry) -> None:
        self._entry, self._left, self._padding = entry, entry.stored, -entry.stored % BLOCK

    def _take(self, most: int) -> memoryview:
        piece = self._source.take(min(most, self._left))
        if not piece:
            raise Invalid("read tar: truncated archive")
        self._left -= len(piece)
        return piece

    def _next_header(self) -> bytes | None:
        """The next header block, or None at the end: two zero blocks, or the stream's own end between entries."""
        while self._left:
            self._take(self._left)
        padding = len(self._source.read(self._padding)) if self._padding else 0
        if padding < self._padding:
            return None  # a last entry whose padding is missing is whole all the same
        block = self._source.read(BLOCK)
        if block == ZERO_BLOCK:
            if self._source.read(BLOCK).strip(b"\0"):
                raise Invalid("read tar: data behind the end marker")
            return None
        if block and len(block) < BLOCK:
            raise Invalid("read tar: truncated archive")
        return block or None

    def _extension(self) -> bytes:
        """All data of the present entry, which describes the one behind it."""
        if self._left > MAX_EXTENSION:
            raise Invalid(f"read tar: extended header of {self._left} bytes")
        return self._read_stored(self._left)

    def _read_stored(self, count: int) -> bytes:
        data = self._source.read(count) if count <= self._left else b""
        if len(data) < count:
            raise Invalid("read tar: truncated archive")
        self._left -= count
        return data

    def _find_sparse_map(self, entry: Entry, block: bytes, records: list[tuple[bytes, bytes]]) -> None:
        """Fill in `entry.sparse` and its real size, when it is a sparse file of any of the four forms."""
        gnu = dict(records)
        if entry.kind == tar_header.GNU_SPARSE:
            entry.kind, entry.size = tar_header.FILE, number(block[483:495])
            runs = tar_sparse.old_gnu(block, lambda: self._source.read(BLOCK))
        elif entry.kind != tar_header.FILE:
            return
        elif gnu.get(b"GNU.sparse.major") == b"1":
            runs = tar_sparse.leading(lambda: self._read_stored(BLOCK))
        elif b"GNU.sparse.map" in gnu:
            runs = tar_sparse.pairs(gnu[b"GNU.sparse.map"].split(b","))
        elif b"GNU.sparse.numblocks" in gnu:
            runs = tar_sparse.pairs([text for key, text in records if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")])
        else:
            return
        entry.name = tar_header.as_path(gnu.get(b"GNU.sparse.name", entry.name))
        for key in (b"GNU.sparse.size", b"GNU.sparse.realsize"):
            if key in gnu:
                entry.size = decimal(gnu[key])
        entry.sparse = tar_sparse.checked(runs, entry, self._left)
