"""Go through a directory tree that somebody else may be changing.

Invariant: every step is one component from a descriptor, no symlink is followed; what vanishes or changes kind under way is
left out. The depth is bounded only by the number of descriptors a process may have.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    """One file: its path below the start, and its name in the directory open as `parent` (until the next step)."""

    path: bytes
    parent: int
    name: bytes
    info: os.stat_result


def walk(start: int) -> Iterator[Found]:
    """Everything below the directory open as `start`, a directory before what is in it, names in byte order."""
    levels = [(os.dup(start), b"", _names(start))]
    try:
        while levels:
            fd, above, names = levels[-1]
            if not names:
                os.close(levels.pop()[0])
                continue
            name = names.pop()
            path = above + b"/" + name if above else name
            try:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                yield Found(path, fd, name, info)
                if stat.S_ISDIR(info.st_mode):
                    below = os.open(name, OPEN_DIRECTORY, dir_fd=fd)
                    levels.append((below, path, _names(below)))
            except (FileNotFoundError, NotADirectoryError):
                continue
    finally:
        for fd, _, _ in levels:
            os.close(fd)


def _names(directory: int) -> list[bytes]:
    return sorted(map(os.fsencode, os.listdir(directory)), reverse=True)
