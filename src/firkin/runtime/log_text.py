"""One file of a log as its reader sees it: its whole lines, or the last of them. Packed or not, the face is the same.

Invariant: packing does not change a file's `inode`. It tells one that is open from all newer ones; the number of one that is
not open may be another's by now.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from typing import Protocol

from firkin.runtime.log_packing import inode_within

_BLOCK = 1 << 18  # bytes; more than twice the longest entry
_CORRUPT = (OSError, EOFError, zlib.error)


class LogText(Protocol):
    inode: int

    def size(self) -> int:
        """How far `lines` may go now."""

    def lines(self, end: int) -> Iterator[list[bytes]]:
        """Every whole line before `end` that has not been read yet."""

    def skip_to_last(self, count: int) -> int:
        """Read on from the last `count` whole lines; how many of them are not here."""

    def close(self) -> None: ...


class Plain:
    """A file as it is written. It may still grow; its last line may be in the middle of being written."""

    def __init__(self, fd: int) -> None:
        self._fd, self._at = fd, 0
        self.inode = os.fstat(fd).st_ino

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def lines(self, end: int) -> Iterator[list[bytes]]:
        while self._at < end:
            data = os.pread(self._fd, min(_BLOCK, end - self._at), self._at)
            whole = data.rfind(b"\n") + 1
            if whole == 0:
                return
            self._at += whole
            yield data[:whole].splitlines()

    def skip_to_last(self, count: int) -> int:
        end = self.size()
        wanted = count + 1  # newlines: the last line's own, and of each one before the first
        while end > 0:
            start = max(0, end - _BLOCK)
            data = os.pread(self._fd, end - start, start)
            there = data.count(b"\n")
            if there >= wanted:
                place = len(data)
                for _ in range(wanted):
                    place = data.rfind(b"\n", 0, place)
                self._at = start + place + 1
                return 0
            wanted -= there
            end = start
        self._at = 0
        return max(wanted - 1, 0)

    def close(self) -> None:
        os.close(self._fd)


class Packed:
    """A rotated file that is packed: to know its last lines, all of it is read."""

    def __init__(self, fd: int) -> None:
        self._fd, self._skipped = fd, 0
        self.inode = inode_within(fd)

    def size(self) -> int:
        return 0

    def lines(self, end: int) -> Iterator[list[bytes]]:
        skip, self._skipped = self._skipped, 0
        for batch in self._batches():
            if skip < len(batch):
                yield batch[skip:]
            skip = max(0, skip - len(batch))

    def skip_to_last(self, count: int) -> int:
        there = sum(map(len, self._batches()))
        self._skipped = max(0, there - count)
        return max(0, count - there)

    def close(self) -> None:
        os.close(self._fd)

    def _batches(self) -> Iterator[list[bytes]]:
        """All its lines; those before the damage, if it is damaged."""
        with open(os.dup(self._fd), "rb") as file, gzip.open(file) as text:
            file.seek(0)
            rest = b""
            try:
                while data := text.read(_BLOCK):
                    data = rest + data
                    whole = data.rfind(b"\n") + 1
                    rest = data[whole:]
                    if whole:
                        yield data[:whole].splitlines()
            except _CORRUPT:
                return
