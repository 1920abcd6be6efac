"""A directory tree becomes a tar stream.

Invariant: the same tree gives the same bytes: names in byte order, no clock, no user names. Nothing outside the start is
read, whatever symlinks the tree holds and whoever changes it meanwhile: a file that grows is cut at the size announced, one
that shrinks is filled with zeros, one that has gone or become something else is left out. Large holes stay holes: a file may
claim exbibytes, and hold nothing.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable

from firkin.errors import Invalid
from firkin.linux import holes
from firkin.storage import attributes, tar_header, tar_sparse, tar_writer
from firkin.storage.lookup import is_opaque
from firkin.storage.tar_header import Entry
from firkin.storage.tree import is_whiteout
from firkin.storage.walk import OPEN_DIRECTORY, Found, walk

_CHUNK = 1 << 20
_LONGEST_LEASE, _PAUSE = 60.0, 0.05  # seconds; the kernel's lease-break-time is 45
# Nothing there, no directory, a symlink, a device (which cannot be opened where workers work), a queue or socket, no symlink.
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.ENXIO, errno.EINVAL)
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
            self._other(found, kind, name)

    def directory(self, found: Found, name: bytes) -> None:
        fd = _open(found, OPEN_DIRECTORY)
        if fd is None:
            return
        try:
            entry = _entry(found, tar_header.DIRECTORY, name)
            entry.xattrs = attributes.xattrs(fd)
            self._write(tar_writer.header(entry))
            if self._whiteouts and is_opaque(fd):
                self._write(tar_writer.header(_empty(name.rstrip(b"/") + b"/.wh..wh..opq")))
        finally:
            os.close(fd)

    def _other(self, found: Found, kind: bytes, name: bytes) -> None:
        try:
            entry = _entry(found, kind, name)
        except OSError as error:
            if error.errno not in _CHANGED:
                raise
            return
        self._write(tar_writer.header(entry))

    def end(self) -> None:
        self._write(tar_writer.END)

    def _file(self, found: Found, name: bytes) -> None:
        inode = (found.info.st_dev, found.info.st_ino)
        if inode in self._links:
            entry = _entry(found, tar_header.HARD_LINK, name)
            entry.link = self._links[inode]
            self._write(tar_writer.header(entry))
            return
        fd = _open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if fd is None:
            return
        if found.info.st_nlink > 1:
            self._links[inode] = name
        try:
            info = os.fstat(fd)
            entry = _entry(found._replace(info=info), tar_header.FILE, name)
            entry.xattrs = attributes.xattrs(fd)
            if holes.may_be_in(info):
                entry.sparse = _runs(fd, entry)
            self._write(tar_writer.header(entry))
            self._data(fd, entry)
        finally:
            os.close(fd)

    def _data(self, fd: int, entry: Entry) -> None:
        stored = 0
        for offset, length in entry.sparse if entry.sparse is not None else [(0, entry.size)]:
            stored += length
            while length:
                data = os.pread(fd, min(length, _CHUNK), offset) or bytes(min(length, _CHUNK))
                self._write(data)
                offset += len(data)
                length -= len(data)
        self._write(tar_writer.padding(stored))


def _runs(fd: int, entry: Entry) -> tar_sparse.Runs | None:
    """Where its data is; None if it has no holes to speak of. Raises `Invalid` where that is more than a reader would take."""
    runs: tar_sparse.Runs = []
    for run in holes.data_runs(fd, entry.size):
        if len(runs) == tar_sparse.MAX_RUNS - 1:
            raise Invalid(f"pack {tar_header.show(entry.name)}: its data lies in more than {tar_sparse.MAX_RUNS} places")
        runs.append(run)
    return None if runs == [(0, entry.size)] else runs


def _open(found: Found, flags: int) -> int | None:
    """None if there is something else by now, or nothing. A file on which somebody holds a lease (fcntl(2), F_SETLEASE) is
    waited for: the kernel has just asked for it, and takes it away if need be."""
    end = time.monotonic() + _LONGEST_LEASE
    while True:
        try:
            return os.open(found.name, flags, dir_fd=found.parent)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
        except OSError as error:
            if error.errno not in _CHANGED:
                raise
            return None


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
