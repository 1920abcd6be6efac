"""Paths inside a root that belongs to somebody else.

The invariant: whatever symbolic links the root holds, and whoever moves its directories meanwhile, no descriptor made
here leaves the root; what is to be created is created in a directory that was opened that way.
Source: openat2(2), path_resolution(7), statfs(2).
"""

from __future__ import annotations

import errno
import os
import struct

from firkin.linux import libc
from firkin.linux.syscalls import call, cstring

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

S_IFIFO, S_IFCHR, S_IFDIR, S_IFREG = 0o010000, 0o020000, 0o040000, 0o100000

PROC_SUPER_MAGIC = 0x9FA0
DEVPTS_SUPER_MAGIC = 0x1CD1

_OPEN_HOW = struct.Struct("=QQQ")
_statfs = libc.create_string_buffer(128)  # struct statfs, made once: making it takes longer than the call
_MOST_LINKS = 40
_MOST_RETRIES = 64


def openat2(directory: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), close-on-exec; tried again while a rename elsewhere keeps the kernel from being sure."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(_MOST_RETRIES):
        try:
            return call("openat2", directory, cstring(path), how, len(how), what=path)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)


def in_root(root: int, path: str, flags: int = os.O_PATH, mode: int = 0, resolve: int = 0) -> int:
    """Open `path` as it would be found by a process whose root directory is `root`; `resolve` (RESOLVE_*) forbids more."""
    return openat2(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve)


def make_in_root(root: int, path: str, kind: str) -> int:
    """Open `path` (O_PATH), made with its missing parents if need be: kind "dir" (0755) or "file" (empty, 0644).

    A dangling symbolic link is followed to what it names, so that `/var/run -> /run` works without a `/run`."""
    try:
        return in_root(root, path)
    except FileNotFoundError:
        pass
    if _make_last(root, path, kind):
        return in_root(root, path)
    waiting = _names(path)[::-1]
    plain: list[str] = []  # already opened once, free of links
    links = 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            del plain[-1:]
            continue
        link = _step(root, plain, name, kind if not waiting else "dir")
        if link is None:
            plain.append(name)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if link.startswith("/"):
            plain.clear()
        waiting += _names(link)[::-1]
    return in_root(root, "/".join(plain) or "/")


def _make_last(root: int, path: str, kind: str) -> bool:
    """The usual case, quickly: only the last name is missing. False, with nothing done, in every other."""
    above, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        return False
    try:
        parent = in_root(root, above or "/", os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        _make(parent, name, kind)
    except FileExistsError:  # a dangling link
        return False
    finally:
        os.close(parent)
    return True


def _make(parent: int, name: str, kind: str) -> None:
    if kind == "dir":
        os.mkdir(name, 0o755, dir_fd=parent)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))


def _step(root: int, plain: list[str], name: str, kind: str) -> str | None:
    """Make `name` below `plain` unless it is there; the target if it is a symbolic link."""
    parent = in_root(root, "/".join(plain) or "/", os.O_PATH | os.O_DIRECTORY)
    try:
        _make(parent, name, kind)
    except FileExistsError:
        return _link_target(parent, name)
    finally:
        os.close(parent)
    return None


def _link_target(parent: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EINVAL:  # not a link
            return None
        raise


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def write_file(path: str, text: str) -> None:
    """Write to a file of the kernel's, in one call; the error names it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def kind_of(fd: int) -> int:
    """S_IFDIR, S_IFREG ..."""
    return os.fstat(fd).st_mode & 0o170000


def filesystem_type(fd: int) -> int:
    """The file system's magic number: PROC_SUPER_MAGIC, DEVPTS_SUPER_MAGIC ..."""
    call("fstatfs", fd, _statfs)
    return int.from_bytes(_statfs.raw[:8], "little")
