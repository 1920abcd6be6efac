"""Make files below one directory by names somebody else chose.

Invariant: nothing outside the root is ever touched. Names with `..` are refused, parents are opened with
openat2(2) RESOLVE_IN_ROOT (a symlink inside the tree counts from the tree's root), and every last component is
created new (O_EXCL, mkdirat, symlinkat, mknodat) in its parent's descriptor, so no link or device is followed.
"""

from __future__ import annotations

import errno
import os
import stat

from firkin.errors import Invalid
from firkin.linux import fs
from firkin.linux.overlay import OPAQUE
from firkin.storage.removal import remove_tree
from firkin.storage.tar_header import show

_RESOLVE = fs.RESOLVE_IN_ROOT | fs.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MAX_OPEN = 64
_MAX_LINKS = 40  # as the kernel counts them, path_resolution(7)


def parts_of(name: bytes) -> list[bytes]:
    """The components of an archive's name; one that starts with `/` counts from the root, as Docker takes it."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise Invalid(f"unpack {show(name)}: path leaves the archive's root")
    return parts


def is_whiteout(info: os.stat_result) -> bool:
    """Overlay's mark for "deleted": a character device 0:0 (kernel, filesystems/overlayfs.rst)."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


class Tree:
    """The directory `root`, by descriptor. `implied` collects directories that were made because a name below them
    came up, and whose attributes nobody has stated yet."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.implied: dict[bytes, None] = {}
        self._open: dict[bytes, int] = {b"": root}

    def directory(self, path: bytes, links: int = 0) -> int:
        """A descriptor of the directory `path`, made with its parents where missing. It stays the tree's: do not
        close it, and use it before the next call."""
        fd = self._open.get(path)
        if fd is None:
            try:
                fd = self.find(path)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    raise
                self._make(path, links)
                fd = self.find(path)
            if len(self._open) >= _MAX_OPEN:
                self.forget()
            self._open[path] = fd
        return fd

    def find(self, path: bytes) -> int:
        """A new descriptor of the directory `path`, which must be there."""
        return fs.openat2(self.root, path.decode("utf-8", "surrogateescape") or ".", _DIRECTORY, resolve=_RESOLVE)

    def forget(self) -> None:
        """Close the directories kept open; due whenever one of them may have been replaced."""
        for path, fd in self._open.items():
            if path:
                os.close(fd)
        self._open = {b"": self.root}

    def remove(self, parent: int, name: bytes, info: os.stat_result) -> None:
        """Remove `name` from the directory open as `parent` (which may be closed after); `info` is its lstat."""
        if stat.S_ISDIR(info.st_mode):
            remove_tree(name, parent)
            self.forget()
        else:
            os.unlink(name, dir_fd=parent)

    def is_deleted(self, above: bytes, name: bytes) -> bool:
        """Whether `name` in the directory `above` is a whiteout."""
        try:
            return is_whiteout(os.stat(name, dir_fd=self.directory(above), follow_symlinks=False))
        except FileNotFoundError:
            return False

    def restore(self, above: bytes, name: bytes) -> None:
        """A directory in place of its whiteout: opaque, so that nothing of the deleted one shines through."""
        parent = self.directory(above)
        os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o755, dir_fd=parent)
        make_opaque(parent, name)

    def _make(self, path: bytes, links: int) -> None:
        """mkdir `path` and what is missing above it; where a symlink points nowhere, what it points to."""
        above, _, name = path.rpartition(b"/")
        parent = self.directory(above, links)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            self.implied[path] = None
        except FileExistsError:
            if self.is_deleted(above, name):
                self.restore(above, name)
            elif links < _MAX_LINKS:
                self.directory(_join(above, _link_text(parent, name)), links + 1)
            else:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def make_opaque(parent: int, name: bytes) -> None:
    fd = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        os.setxattr(fd, OPAQUE, b"y")
    finally:
        os.close(fd)


def _link_text(parent: int, name: bytes) -> bytes:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:  # no symlink
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None


def _join(above: bytes, target: bytes) -> bytes:
    """Where a symlink in the directory `above` leads, its `..` stopping at the root."""
    parts: list[bytes] = []
    for part in (target if target.startswith(b"/") else above + b"/" + target).split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)
