"""Steps of a plan that make files in a container's root: directories, links, devices, small texts.

Parents are made when missing, and everything stays inside the root (see `linux.fs`). The umask is 0 meanwhile.
"""

from __future__ import annotations

import os

from firkin.linux import fs
from firkin.runtime.state import State


def mkdir(state: State, path: str, mode: int) -> None:
    """A directory that is there already is left as it is."""
    directory, name = state.directory_of(path)
    try:
        os.mkdir(name, mode, dir_fd=directory)
    except FileExistsError:
        pass


def symlink(state: State, target: str, path: str) -> None:
    directory, name = state.directory_of(path)
    os.symlink(target, name, dir_fd=directory)


def mknod(state: State, path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> None:
    """`mode` holds the type too (S_IFCHR, S_IFBLK, S_IFIFO)."""
    directory, name = state.directory_of(path)
    os.mknod(name, mode, os.makedev(major, minor), dir_fd=directory)
    if uid or gid:
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


def write(state: State, path: str, text: str, mode: int) -> None:
    fd = fs.in_root(state.root, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


STEPS = {"mkdir": mkdir, "symlink": symlink, "mknod": mknod, "write": write}
