"""Where a file's data lies, and copying a file without filling its holes.

The invariant: the work and the room needed follow what is stored, whatever size the file claims; that it changes meanwhile does
no harm. Source: lseek(2), SEEK_DATA and SEEK_HOLE; stat(2), st_blocks.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST = 1 << 20  # bytes; a shorter hole is taken for data
_CHUNK = 1 << 20
_UNIT = 512  # of st_blocks


def may_be_in(status: os.stat_result) -> bool:
    """Whether a file has less stored than its size says."""
    return status.st_size - status.st_blocks * _UNIT >= SHORTEST


def data_runs(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of what is stored of a file's first `size` bytes, in order."""
    start = end = 0  # of the run at hand
    while end < size:
        data = _seek(fd, end, os.SEEK_DATA, size)
        if data - end >= SHORTEST:
            if end > start:
                yield start, end - start
            start = data
        end = data if data == size else max(_seek(fd, data, os.SEEK_HOLE, size), data + 1)
    if end > start:
        yield start, end - start


def _seek(fd: int, offset: int, what: int, size: int) -> int:
    """The next data or hole from `offset` on; `size` if there is none. A file system that knows of no holes has none."""
    try:
        return min(max(os.lseek(fd, offset, what), offset), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        return offset if what == os.SEEK_DATA else size


def copy(source: int, target: int) -> None:
    """Fill the new, empty file open as `target` with what is in the one open as `source`."""
    size = os.fstat(source).st_size
    for offset, length in data_runs(source, size):
        end = offset + length
        while offset < end and (data := os.pread(source, min(end - offset, _CHUNK), offset)):
            offset += os.pwrite(target, data, offset)
    os.ftruncate(target, size)
