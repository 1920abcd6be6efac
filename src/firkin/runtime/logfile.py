"""Reading json-file logs: what is there, from the newest lines backwards if need be, and what is still to come.

Only whole lines count: the last one may be in the middle of being written. The keeper may cut back and rewrite a batch,
but always to the same bytes (see journal), so what has been read stays true; it rotates to a new file, never in place.
Files that are not written any more may be packed (see log_packing).
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
from firkin.runtime.log_packing import unmoved
from firkin.runtime.log_text import LogText, Packed, Plain
from firkin.runtime.logwriter import PACKED

_POLL = 0.25  # seconds after which a follower looks again although no file has changed


async def read(path: str, request: LogRequest) -> AsyncIterator[LogEntry]:
    """The entries there are now: what is written meanwhile is not waited for. `path` is the newest file; rotated ones are
    found beside it. No file, no entries."""
    with await _open_files(path, request) as files:
        async for entry in _aside(files, request):
            yield entry


async def follow(path: str, request: LogRequest, finished: Callable[[], bool]) -> AsyncIterator[LogEntry]:
    """The entries there are and those to come, until `finished()` (the container is down, its output complete) or until
    `request.until` has passed."""
    with _Changes(os.path.dirname(path)) as changes, await _open_files(path, request) as files:
        while True:
            last = finished() or bool(request.until and time.time_ns() > request.until)  # asked before reading
            async for entry in _aside(files, request):
                yield entry
            if last:
                return
            await changes.wait()
            files.find_newer()


async def _open_files(path: str, request: LogRequest) -> _Files:
    files = _Files(path)
    if request.tail is not None:
        await files.skip_to_last(request.tail)
    return files


async def _aside(files: _Files, request: LogRequest) -> AsyncIterator[LogEntry]:
    """Others get their turn: a long log of which nothing is wanted would take seconds."""
    for batch in files.batches():
        for entry in wanted(batch, request):
            yield entry
        await asyncio.sleep(0)


class _Files:
    """A log's files, oldest first, with how far each has been read. All are opened at once, so a rotation meanwhile
    takes none away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._open: list[LogText] = []
        self._newest = 0  # inode
        self.find_newer()

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._open:
            file.close()

    def batches(self) -> Iterator[list[bytes]]:
        """Every whole line that is there and not read yet; may be called again. A program may write faster than anybody
        reads, so where each file ends is asked first."""
        ends = [file.size() for file in self._open]
        for end in ends:
            yield from self._open[0].lines(end)
            if len(self._open) > 1:
                self._open.pop(0).close()

    def find_newer(self) -> None:
        """Open what a rotation has put in the newest file's place, and what was there in between."""
        found: list[LogText] = []  # newest first
        with unmoved(self._path):
            for file in _open_all(self._path):
                if file.inode == self._newest:
                    file.close()
                    break
                found.append(file)
        if found:
            self._newest = found[0].inode
            self._open += reversed(found)

    async def skip_to_last(self, count: int) -> None:
        """Leave all lines but the last `count` unread. Of a packed file all is looked at for that, which takes its time."""
        for place in range(len(self._open) - 1, -1, -1):
            file = self._open[place]
            packed = isinstance(file, Packed)
            count = await asyncio.to_thread(file.skip_to_last, count) if packed else file.skip_to_last(count)
            if count == 0:
                for file in self._open[:place]:
                    file.close()
                del self._open[:place]
                return


def _open_all(path: str) -> Iterator[LogText]:
    """A log's files, newest first. One that is missing may be a rotation that was cut short, two are the end."""
    missing = 0
    for name in itertools.chain([path], (f"{path}.{number}" for number in itertools.count(1))):
        try:
            file = _open(name)
        except FileNotFoundError:
            missing += 1
            if missing > 1:
                return
        else:
            missing = 0
            yield file


def _open(name: str) -> LogText:
    try:
        return Plain(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return Packed(os.open(name + PACKED, os.O_RDONLY | os.O_CLOEXEC))


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
        os.read(self._fd, 1 << 16)
        self._changed.set()
