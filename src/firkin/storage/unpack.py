"""Entries of a tar stream become files of a tree.

Invariant: see `tree`; whatever the archive holds, only files below the root change, and each ends with exactly the
owner, mode, extended attributes and time its entry states. This is the plain dialect, of `docker cp` and copies;
`unpack_layer` adds what a layer says about the layers below.
"""

from __future__ import annotations

import errno
import os
import stat

from firkin.errors import FirkinError, Forbidden, Internal, Invalid, Unavailable, reason
from firkin.linux import overlay
from firkin.storage import attributes, tar_header
from firkin.storage.files import write_all
from firkin.storage.tar_header import Entry, show
from firkin.storage.tar_reader import TarReader
from firkin.storage.tree import Tree, parts_of

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {tar_header.CHARACTER: stat.S_IFCHR, tar_header.BLOCK_DEVICE: stat.S_IFBLK, tar_header.FIFO: stat.S_IFIFO}
_UNMAPPED = "its owner {}:{} is beyond the ids that /etc/subuid and /etc/subgid grant (see `firkin rootless setup`)"
_LARGEST_ID = 2**32 - 2  # one more means "leave as it is" to chown(2)
_KINDS: tuple[tuple[tuple[int, ...], type[FirkinError]], ...] = (
    ((errno.ENOSPC, errno.EDQUOT), Unavailable),
    ((errno.EROFS,), Forbidden),
    ((errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EFBIG, errno.EINVAL, errno.ENOENT), Invalid),
    ((errno.EEXIST, errno.EMLINK, errno.EPERM, errno.ERANGE, errno.E2BIG, errno.EXDEV, errno.EOVERFLOW), Invalid),
)


class Unpacker:
    """Unpacks into `below`, a directory of the tree `root` (a directory descriptor), within which symlinks lead on; the
    process's umask must be 0.

    `keep_kinds` refuses to replace a directory by something else or the reverse; `owner`, a (uid, gid), overrides the
    archive's.
    """

    def __init__(
        self, root: int, *, below: bytes = b"", keep_kinds: bool = False, owner: tuple[int, int] | None = None
    ) -> None:
        self.tree = Tree(root)
        self._start = b"/".join(parts_of(below))
        self._keep_kinds = keep_kinds
        self._owner = owner
        self.size = 0  # bytes of all files' contents
        self._times: dict[bytes, int] = {}  # of directories, set last because filling them changes them

    def unpack(self, reader: TarReader) -> None:
        """Make every entry. Raises `Invalid` when the archive is at fault, `Unavailable` when the disk is full."""
        name, owner = b"archive", (0, 0)
        try:
            for entry in reader:
                name, owner = entry.name, (entry.uid, entry.gid)
                self.add(entry, reader)
            self._set_times()
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno == errno.EINVAL and overlay.IN_USER_NAMESPACE and any(owner):
                raise Invalid(f"unpack {show(name)}: {_UNMAPPED.format(*owner)}")
            raise explained(name, error)
        finally:
            self.tree.forget()

    def add(self, entry: Entry, reader: TarReader) -> None:
        """Make one entry, in place of whatever has its name; only a directory is merged with a directory."""
        if max(entry.uid, entry.gid) > _LARGEST_ID:
            raise Invalid(f"unpack {show(entry.name)}: user or group id out of range")
        if self._owner:
            entry.uid, entry.gid = self._owner
        path = self._path(entry.name)
        if entry.kind == tar_header.HARD_LINK and path == self._path(entry.link):
            return  # to itself
        self.size += entry.stored
        if path != self._start:
            self.place(path, entry, reader)
        else:
            self.place_root(entry)

    def place_root(self, entry: Entry) -> None:
        """The archive's `./`: here a directory the caller has chosen, whose attributes stay as they are."""

    def place(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        above, _, name = path.rpartition(b"/")
        merge = self.make_room(path, entry)
        parent = self.tree.directory(above)
        if entry.kind == tar_header.FILE:
            _make_file(parent, name, entry, reader)
        elif entry.kind == tar_header.DIRECTORY:
            if not merge:
                os.mkdir(name, 0o700, dir_fd=parent)
            self.set_directory(parent, path, entry)
        elif entry.kind == tar_header.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            attributes.set_named(parent, name, entry)
        elif entry.kind == tar_header.HARD_LINK:
            self.link(self._path(entry.link), path)
        elif entry.kind == tar_header.FIFO or not overlay.IN_USER_NAMESPACE:  # where devices cannot be made, nor used
            os.mknod(name, _NODES[entry.kind] | entry.mode, os.makedev(entry.major, entry.minor), dir_fd=parent)
            attributes.set_named(parent, name, entry)

    def make_room(self, path: bytes, entry: Entry) -> bool:
        """Remove what is at `path`, unless that and the entry are both directories: then True."""
        above, _, name = path.rpartition(b"/")
        parent = self.tree.directory(above)
        try:
            present = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return False
        was, comes = stat.S_ISDIR(present.st_mode), entry.kind == tar_header.DIRECTORY
        if was and comes:
            return True
        if self._keep_kinds and was != comes:
            kinds = ("directory", "non-directory") if was else ("non-directory", "directory")
            raise Invalid(f"cannot overwrite {kinds[0]} {show(path)!r} with {kinds[1]} {show(entry.name)!r}")
        self.tree.remove(parent, name, present)
        return False

    def link(self, target: bytes, path: bytes) -> None:
        """Make `path` a hard link to the earlier entry `target`."""
        above, _, target_name = target.rpartition(b"/")
        source = self.tree.find(above)
        try:
            above, _, name = path.rpartition(b"/")
            os.link(target_name, name, src_dir_fd=source, dst_dir_fd=self.tree.directory(above), follow_symlinks=False)
        finally:
            os.close(source)

    def set_directory(self, parent: int, path: bytes, entry: Entry) -> None:
        fd = os.open(path.rpartition(b"/")[2] or b".", _DIRECTORY, dir_fd=parent)
        try:
            attributes.set_open(fd, entry, time=False)
        finally:
            os.close(fd)
        self._times[path] = entry.mtime
        self.tree.implied.pop(path, None)

    def _path(self, name: bytes) -> bytes:
        """Where in the tree an entry of this name goes."""
        return b"/".join(filter(None, (self._start, *parts_of(name))))

    def _set_times(self) -> None:
        for path, mtime in self._times.items():
            try:
                fd = self.tree.find(path)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry took its place
            try:
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)


def _make_file(parent: int, name: bytes, entry: Entry, reader: TarReader) -> None:
    fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
    try:
        if entry.sparse is None:
            for _, data in reader.data():
                write_all(fd, data)
        else:
            for offset, data in reader.data():
                os.lseek(fd, offset, os.SEEK_SET)
                write_all(fd, data)
            os.ftruncate(fd, entry.size)
        attributes.set_open(fd, entry)
    finally:
        os.close(fd)


def explained(name: bytes, error: OSError | OverflowError) -> FirkinError:
    """What went wrong with the entry `name`, told by whose fault it is."""
    if isinstance(error, OverflowError):
        return Invalid(f"unpack {show(name)}: a number out of range")
    kind = next((kind for numbers, kind in _KINDS if error.errno in numbers), Internal)
    return kind(f"unpack {show(name)}: {reason(error)}")
