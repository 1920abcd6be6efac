"""Steps of a plan that make files in a container's root: directories, links, devices, small texts.

Parents are made when missing, and everything stays inside the root (see `linux.fs`). The umask is 0 meanwhile.
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs
from firkin.runtime import steps_devices
from firkin.runtime.state import State

_S_IFMT = 0o170000


def mkdir(state: State, path: str, mode: int) -> None:
    """A directory that is there already is left as it is."""
    directory, name = state.directory_of(path)
    try:
        os.mkdir(name, mode, dir_fd=directory)
    except FileExistsError:
        pass


def symlink(state: State, target: str, path: str, replace: bool = False) -> None:
    """What is there already is left as it is, unless it is to be replaced."""
    directory, name = state.directory_of(path)
    try:
        os.symlink(target, name, dir_fd=directory)
    except FileExistsError:
        if replace:
            os.unlink(name, dir_fd=directory)
            os.symlink(target, name, dir_fd=directory)


def mknod(state: State, path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> None:
    """`mode` holds the type too (S_IFCHR, S_IFBLK, S_IFIFO). A node that is there already must be this one."""
    directory, name = state.directory_of(path)
    number = os.makedev(major, minor)
    try:
        os.mknod(name, mode, number, dir_fd=directory)
    except FileExistsError:
        if not _is_node(directory, name, mode, number):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
    if uid or gid:
        os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)


def _is_node(directory: int, name: str, mode: int, number: int) -> bool:
    present = os.stat(name, dir_fd=directory, follow_symlinks=False)
    kind = mode & _S_IFMT
    return present.st_mode & _S_IFMT == kind and (kind == fs.S_IFIFO or present.st_rdev == number)


def write(state: State, path: str, text: str, mode: int) -> None:
    fd = fs.in_root(state.root, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


STEPS = {"mkdir": mkdir, "symlink": symlink, "mknod": mknod, "write": write, **steps_devices.STEPS}
