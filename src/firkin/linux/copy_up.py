"""Copying a directory's contents into another, by descriptor: what a fresh file system begins with.

The invariant: no symbolic link is followed, nothing but files and directories is opened, and no name is looked up twice; the
source belongs to somebody else, who may exchange a file for a queue or a device at any moment. Ownership, modes, times, holes
and extended attributes come along; sockets do not. Source: openat(2), O_PATH in open(2), xattr(7).
"""

from __future__ import annotations

import os

from firkin.linux import holes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_AS_IT_IS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_S_IFMT, _S_IFDIR, _S_IFREG, _S_IFLNK, _S_IFSOCK = 0o170000, 0o040000, 0o100000, 0o120000, 0o140000


def copy_tree(source: int, target: int, proc: int) -> None:
    """Everything in the directory open as `source` into the one open as `target`; then the latter's own properties. `proc`: a
    /proc of the host's. What goes meanwhile is left out."""
    for name in os.listdir(source):
        try:
            found = os.open(name, _AS_IT_IS, dir_fd=source)
        except FileNotFoundError:
            continue
        try:
            _copy(found, target, name, proc)
        finally:
            os.close(found)
    _copy_properties(source, target)


def _copy(found: int, target: int, name: str, proc: int) -> None:
    status = os.fstat(found)
    kind = status.st_mode & _S_IFMT
    if kind == _S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target)
        inside, made = os.open(".", _DIRECTORY, dir_fd=found), os.open(name, _DIRECTORY, dir_fd=target)
        _and_close(lambda: copy_tree(inside, made, proc), inside, made)
    elif kind == _S_IFREG:
        inside = os.open(f"self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        made = os.open(name, _NEW_FILE, 0o600, dir_fd=target)
        _and_close(lambda: _copy_file(inside, made), inside, made)
    elif kind != _S_IFSOCK:
        if kind == _S_IFLNK:
            os.symlink(os.readlink("", dir_fd=found), name, dir_fd=target)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _and_close(copy: Callable[[], None], source: int, target: int) -> None:
    try:
        copy()
    finally:
        os.close(source)
        os.close(target)


def _copy_file(source: int, target: int) -> None:
    holes.copy(source, target)
    _copy_properties(source, target)


def _copy_properties(source: int, target: int) -> None:
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, status.st_mode & 0o7777)
    for name in os.listxattr(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError:  # the file system has no such attributes
            pass
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
