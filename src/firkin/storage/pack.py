"""A directory tree becomes a tar stream.

Invariant: the same tree gives the same bytes: names in byte order, no clock, no user names. Nothing outside the start is
read, whatever symlinks the tree holds and whoever changes it meanwhile: a file that grows is cut at the size announced, one
that shrinks is filled with zeros.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from firkin.storage import attributes, tar_header, tar_writer
from firkin.storage.lookup import is_opaque
from firkin.storage.tar_header import Entry
from firkin.storage.tree import is_whiteout
from firkin.storage.walk import OPEN_DIRECTORY, Found, walk

_CHUNK = 1 << 20
_KINDS = {
    stat.S_IFREG: tar_header.FILE,
    stat.S_IFDIR: tar_header.DIRECTORY,
    stat.S_IFLNK: tar_header.SYMLINK,
    stat.S_IFCHR: tar_header.CHARACTER,
    stat.S_IFBLK: tar_header.BLOCK_DEVICE,
    stat.S_IFIFO: tar_header.FIFO,
}
Write = Callable[[bytes], None]


class Packer:
    """Writes entries through `write`. As a layer (`whiteouts`), overlay's marks become the names an image uses."""

    def __init__(self, write: Write, *, whiteouts: bool = False) -> None:
        self._write, self._whiteouts = write, whiteouts
        self._links: dict[tuple[int, int], bytes] = {}  # inode -> the name it was packed under

    def pack_below(self, directory: int, prefix: bytes) -> None:
        """Everything in the directory open as `directory`, each name behind `prefix` ("" or ending in /)."""
        for found in walk(directory):
            self.pack(found, prefix + found.path)

    def pack(self, found: Found, name: bytes) -> None:
        """One file, not what is in it, as `name`; a socket cannot be packed and is left out."""
        kind = _KINDS.get(stat.S_IFMT(found.info.st_mode))
        if kind is None:
            return
        if self._whiteouts and is_whiteout(found.info):
            above, slash, last = name.rpartition(b"/")
            self._write(tar_writer.header(_empty(above + slash + b".wh." + last)))
        elif kind == tar_header.FILE:
            self._file(found, name)
        elif kind == tar_header.DIRECTORY:
            self.directory(found, name)
        else:
            self._write(tar_writer.header(_entry(found, kind, name)))

    def directory(self, found: Found, name: bytes) -> None:
        fd = os.open(found.name, OPEN_DIRECTORY, dir_fd=found.parent)
        try:
            entry = _entry(found, tar_header.DIRECTORY, name)
            entry.xattrs = attributes.xattrs(fd)
            self._write(tar_writer.header(entry))
            if self._whiteouts and is_opaque(fd):
                self._write(tar_writer.header(_empty(name.rstrip(b"/") + b"/.wh..wh..opq")))
        finally:
            os.close(fd)

    def end(self) -> None:
        self._write(tar_writer.END)

    def _file(self, found: Found, name: bytes) -> None:
        inode = (found.info.st_dev, found.info.st_ino)
        if inode in self._links:
            entry = _entry(found, tar_header.HARD_LINK, name)
            entry.link = self._links[inode]
            self._write(tar_writer.header(entry))
            return
        if found.info.st_nlink > 1:
            self._links[inode] = name
        fd = os.open(found.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=found.parent)
        try:
            entry = _entry(found._replace(info=os.fstat(fd)), tar_header.FILE, name)
            entry.xattrs = attributes.xattrs(fd)
            self._write(tar_writer.header(entry))
            self._data(fd, entry.size)
        finally:
            os.close(fd)

    def _data(self, fd: int, size: int) -> None:
        left = size
        while left:
            data = os.read(fd, min(left, _CHUNK)) or bytes(min(left, _CHUNK))
            self._write(data)
            left -= len(data)
        self._write(tar_writer.padding(size))


def _entry(found: Found, kind: bytes, name: bytes) -> Entry:
    info = found.info
    entry = Entry(name, kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, 0, info.st_mtime_ns)
    if kind == tar_header.FILE:
        entry.size = info.st_size
    elif kind == tar_header.SYMLINK:
        entry.link = os.readlink(found.name, dir_fd=found.parent)
    elif kind in (tar_header.CHARACTER, tar_header.BLOCK_DEVICE):
        entry.major, entry.minor = os.major(info.st_rdev), os.minor(info.st_rdev)
    return entry


def _empty(name: bytes) -> Entry:
    """What a whiteout looks like in an image."""
    return Entry(name, tar_header.FILE, 0, 0, 0, 0, 0)
