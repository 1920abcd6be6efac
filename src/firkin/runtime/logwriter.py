"""A container's log file as its one writer sees it: append a batch, take it back, rotate.

`PATH` is written; `PATH.1` is the one before it, and so on up to `max_file` files. The daemon may replace one that is not
written any more by `PATH.1.gz` (see `log_packing`). The size is noted before each batch (see journal), so rotation happens
between batches only: a file may exceed `max_size` by one batch, or by more while somebody has it locked, and batches are
kept small where files are. Each step of a rotation is a rename that can be repeated after a crash.
A log that cannot be written (disk full, directory removed) loses entries but never stops the container.
"""

from __future__ import annotations

import os

from firkin.linux.syscalls import call
from firkin.runtime.journal import BATCH

PACKED = ".gz"

_SMALLEST_BATCH = 512
_LOCK_EX, _LOCK_NB = 2, 4


class LogWriter:
    """Made from the `log` part of a plan: path, max_size (bytes; 0: no rotation), max_file, driver, attributes (JSON).

    `batch` is how much output to take at once; `attributes` are for each entry.
    """

    def __init__(self, log: dict[str, int | str]) -> None:
        self._path = str(log["path"]) if log["driver"] == "json-file" else ""
        self._max_size = int(log["max_size"])
        self._max_file = int(log["max_file"])
        self.attributes = str(log["attributes"]).encode()
        self.batch = min(BATCH, max(_SMALLEST_BATCH, self._max_size // 8)) if self._max_size else BATCH
        self._open()

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self.size = os.fstat(self._fd).st_size
        except OSError:
            self._fd = -1
            self.size = 0

    def make_room(self) -> None:
        """Rotate if the file is full. Always to a new file: to readers, one that shrinks is being cut back."""
        if not self._max_size or self.size < self._max_size or self._fd < 0 or not self._lock():
            return
        try:
            for number in range(self._vacancy(), 0, -1):
                self._move_to(number)
            if self._max_file < 2:
                os.unlink(self._path)
        except OSError:
            pass
        os.close(self._fd)  # and with it goes the lock
        self._open()

    def _lock(self) -> bool:
        """Nobody waits here: who cannot have it now tries again with the next batch."""
        try:
            call("flock", self._fd, _LOCK_EX | _LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _vacancy(self) -> int:
        """The number to move files up to: the first that no file has; if there is none, the oldest file makes room. Who does
        a rotation again that was cut short finds the vacancy where the other was, and nothing else has to go."""
        for number in range(1, self._max_file):
            if not any(os.path.exists(f"{self._path}.{number}{suffix}") for suffix in ("", PACKED)):
                return number
        if self._max_file > 1:
            for suffix in ("", PACKED):
                _unlink(f"{self._path}.{self._max_file - 1}{suffix}")
        return self._max_file - 1

    def _move_to(self, number: int) -> None:
        """Make the next younger file the one of this number. Where it is there both ways, only what was first counts."""
        younger = f"{self._path}.{number - 1}" if number > 1 else self._path
        if os.path.exists(younger):
            _unlink(younger + PACKED)
            os.rename(younger, f"{self._path}.{number}")
        elif number > 1:
            os.rename(younger + PACKED, f"{self._path}.{number}{PACKED}")

    def append(self, entries: bytes) -> None:
        """Write all of `entries`, or nothing if there is no room for them."""
        if self._fd < 0:
            return
        view = memoryview(entries)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self.cut_back(self.size)
        else:
            self.size += len(entries)

    def cut_back(self, size: int) -> None:
        """Remove what was appended beyond `size` bytes."""
        if self._fd >= 0 and os.fstat(self._fd).st_size > size:
            os.ftruncate(self._fd, size)
            self.size = size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
