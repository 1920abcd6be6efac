"""Reading json-file logs: what is there, from the newest lines backwards if need be, and what is still to come.

Only whole lines count: the last one may be in the middle of being written. The keeper may cut back and rewrite a batch,
but always to the same bytes (see journal), so what has been read stays true; it rotates to a new file, never in place.
Source: Docker Engine API, `GET /containers/{id}/logs`; moby daemon/logger/loggerutils/logfile.go (`tail` counts entries
before any other filter).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator

from firkin.linux import inotify
from firkin.model import LogEntry, LogRequest
from firkin.runtime.log_lines import wanted

_BLOCK = 1 << 18  # bytes; more than twice the longest entry
_POLL = 0.25  # seconds after which a follower looks again although no file has changed


async def read(path: str, request: LogRequest) -> AsyncIterator[LogEntry]:
    """The entries there are now: what is written meanwhile is not waited for. `path` is the newest file; rotated ones are
    found beside it. No file, no entries."""
    with _Files(path, request.tail) as files:
        async for entry in _aside(files, request):
            yield entry


async def follow(path: str, request: LogRequest, finished: Callable[[], bool]) -> AsyncIterator[LogEntry]:
    """The entries there are and those to come, until `finished()` (the container is down, its output complete) or until
    `request.until` has passed."""
    with _Changes(os.path.dirname(path)) as changes, _Files(path, request.tail) as files:
        while True:
            last = finished() or bool(request.until and time.time_ns() > request.until)  # asked before reading
            async for entry in _aside(files, request):
                yield entry
            if last:
                return
            await changes.wait()
            files.find_newer()


async def _aside(files: _Files, request: LogRequest) -> AsyncIterator[LogEntry]:
    """Others get their turn: a long log of which nothing is wanted would take seconds."""
    for batch in files.batches():
        for entry in wanted(batch, request):
            yield entry
        await asyncio.sleep(0)


class _Files:
    """A log's files, oldest first, with how far each has been read. All are opened at once, so a rotation meanwhile
    takes none away."""

    def __init__(self, path: str, tail: int | None) -> None:
        self._path = path
        self._open: list[list[int]] = []  # [descriptor, offset]
        self._newest = 0  # inode
        self.find_newer()
        if tail is not None:
            self._skip_to_last(tail)

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *exc: object) -> None:
        for fd, _ in self._open:
            os.close(fd)

    def batches(self) -> Iterator[list[bytes]]:
        """Every whole line that is there and not read yet; may be called again. A program may write faster than anybody
        reads, so where each file ends is asked first."""
        ends = [os.fstat(fd).st_size for fd, _ in self._open]
        for end in ends:
            yield from self._lines_of(self._open[0], end)
            if len(self._open) > 1:
                os.close(self._open.pop(0)[0])

    def find_newer(self) -> None:
        """Open what a rotation has put in the newest file's place, and what was there in between."""
        found: dict[int, int] = {}  # inode -> descriptor, newest first
        for fd in _open_all(self._path):
            inode = os.fstat(fd).st_ino
            if inode == self._newest:
                os.close(fd)
                break
            if inode in found:  # moved on since we opened it
                os.close(fd)
            else:
                found[inode] = fd
        if found:
            self._newest = next(iter(found))
            self._open += [[fd, 0] for fd in reversed(found.values())]

    def _skip_to_last(self, count: int) -> None:
        for place in range(len(self._open) - 1, -1, -1):
            offset, count = _last_lines(self._open[place][0], count)
            self._open[place][1] = offset
            if count == 0:
                for fd, _ in self._open[:place]:
                    os.close(fd)
                del self._open[:place]
                return

    @staticmethod
    def _lines_of(file: list[int], end: int) -> Iterator[list[bytes]]:
        while file[1] < end:
            data = os.pread(file[0], min(_BLOCK, end - file[1]), file[1])
            whole = data.rfind(b"\n") + 1
            if whole == 0:
                return
            file[1] += whole
            yield data[:whole].splitlines()


def _open_all(path: str) -> Iterator[int]:
    """Descriptors of a log's files, newest first. One that is missing may be a rotation under way, two are the end."""
    missing = 0
    for name in itertools.chain([path], (f"{path}.{number}" for number in itertools.count(1))):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            missing += 1
            if missing > 1:
                return
        else:
            missing = 0
            yield fd


def _last_lines(fd: int, count: int) -> tuple[int, int]:
    """Where the last `count` whole lines of a file begin, and how many of them it lacks."""
    end = os.fstat(fd).st_size
    wanted = count + 1  # newlines: the last line's own, and of each one before the first
    while end > 0:
        start = max(0, end - _BLOCK)
        data = os.pread(fd, end - start, start)
        there = data.count(b"\n")
        if there >= wanted:
            place = len(data)
            for _ in range(wanted):
                place = data.rfind(b"\n", 0, place)
            return start + place + 1, 0
        wanted -= there
        end = start
    return 0, max(wanted - 1, 0)


class _Changes:
    """Wakes a follower when anything changes in a log's directory; the container's record is there too, so also when
    the container ends."""

    def __init__(self, directory: str) -> None:
        self._fd = inotify.watch(directory, inotify.IN_MODIFY | inotify.IN_MOVED_TO | inotify.IN_CREATE)
        self._changed = asyncio.Event()

    def __enter__(self) -> _Changes:
        asyncio.get_running_loop().add_reader(self._fd, self._readable)
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    async def wait(self) -> None:
        try:
            async with asyncio.timeout(_POLL):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    def _readable(self) -> None:
        os.read(self._fd, _BLOCK)
        self._changed.set()
