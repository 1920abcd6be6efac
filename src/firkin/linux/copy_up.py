"""Copying a directory's contents into another, by descriptor: what a fresh file system begins with.

The invariant: no symbolic link is followed and nothing is opened that could block; the source belongs to somebody else.
Ownership, modes, times and extended attributes come along; sockets do not. Source: openat(2), xattr(7).
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Copy = Callable[[int, int], None]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20
_S_IFMT, _S_IFDIR, _S_IFREG, _S_IFLNK, _S_IFSOCK = 0o170000, 0o040000, 0o100000, 0o120000, 0o140000


def copy_tree(source: int, target: int) -> None:
    """Everything in the directory open as `source` into the one open as `target`; then the latter's own properties."""
    for name in os.listdir(source):
        _copy(source, target, name)
    _copy_properties(source, target)


def _copy(source: int, target: int, name: str) -> None:
    status = os.lstat(name, dir_fd=source)
    kind = status.st_mode & _S_IFMT
    if kind == _S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target)
        _with_both(copy_tree, source, target, name, _DIRECTORY, _DIRECTORY)
    elif kind == _S_IFREG:
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        _with_both(_copy_file, source, target, name, os.O_RDONLY | flags, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags)
    elif kind == _S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
    elif kind != _S_IFSOCK:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)


def _with_both(copy: Copy, source: int, target: int, name: str, reading: int, writing: int) -> None:
    inner_source = os.open(name, reading, dir_fd=source)
    try:
        inner_target = os.open(name, writing, 0o600, dir_fd=target)
        try:
            copy(inner_source, inner_target)
        finally:
            os.close(inner_target)
    finally:
        os.close(inner_source)


def _copy_file(source: int, target: int) -> None:
    while block := os.read(source, _BLOCK):
        while block:
            block = block[os.write(target, block) :]
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
