"""Delete directory trees that a container may have made as deep and odd as it liked.

Invariant: no symlink is followed, no path is longer than one component, and two descriptors suffice for any depth:
a directory found inside is moved up to the top before it is emptied in its turn.
"""

from __future__ import annotations

import itertools
import os

from firkin.storage.walk import OPEN_DIRECTORY


def remove_tree(name: bytes | str, dir_fd: int | None = None) -> None:
    """Remove the directory `name` and all below it. Raises OSError, e.g. EBUSY for a mount point inside."""
    top = os.open(name, OPEN_DIRECTORY, dir_fd=dir_fd)
    numbers = itertools.count()
    try:
        while directories := _unlink_files(top):
            for directory in directories:
                _flatten(top, directory, numbers)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def _flatten(top: int, name: str, numbers: itertools.count[int]) -> None:
    """Remove the directory `name` in `top`; its own directories become directories of `top`."""
    fd = os.open(name, OPEN_DIRECTORY, dir_fd=top)
    try:
        for child in _unlink_files(fd):
            _move_up(fd, child, top, numbers)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)


def _move_up(parent: int, name: str, top: int, numbers: itertools.count[int]) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
        return
    except OSError:  # not empty, then
        pass
    for number in numbers:
        try:
            os.rename(name, str(number), src_dir_fd=parent, dst_dir_fd=top)
            return
        except FileExistsError:  # a directory of that name waits in `top` already
            continue


def _unlink_files(directory: int) -> list[str]:
    """Unlink all that is not a directory in `directory`; the names of those that are."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return directories
