"""Give a file the owner, mode, extended attributes and time of a tar entry, in the order in which they stay.

chown(2) clears set-user-id bits and file capabilities, chmod(2) rewrites ACLs, and both touch the change time only; so:
owner, mode, extended attributes, time.
"""

from __future__ import annotations

import errno
import os

from firkin.storage.tar_header import Entry

_OVERLAYS_OWN = (b"trusted.overlay.", b"user.overlay.")  # overlay would obey them: never an archive's to set
_NOT_KEPT_HERE = (errno.ENOTSUP, errno.EPERM)  # this file system, or this kind of file, has no such attribute


def set_open(fd: int, entry: Entry, *, time: bool = True) -> None:
    """Set all of `entry`'s attributes on the file or directory open as `fd`."""
    os.fchown(fd, entry.uid, entry.gid)
    os.fchmod(fd, entry.mode)
    if entry.xattrs:
        _set_xattrs(fd, entry.xattrs, follow=True)
    if time:
        os.utime(fd, ns=(entry.mtime, entry.mtime))


def set_named(parent: int, name: bytes, entry: Entry) -> None:
    """The same, but for the mode, for what cannot be opened: a symlink (which has none) or a node just made with it."""
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if entry.xattrs:
        os.fchdir(parent)  # lsetxattr(2) knows no directory descriptor
        _set_xattrs(name, entry.xattrs, follow=False)
    os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)


def copy(source: int, target: int) -> None:
    """Give the file or directory open as `target` all attributes of that open as `source`."""
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, info.st_mode & 0o7777)
    _set_xattrs(target, xattrs(source), follow=True)
    os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns))


def xattrs(target: int | bytes) -> dict[bytes, bytes]:
    """The extended attributes of a file (a name is not followed) that belong to it, not to overlay."""
    names = [os.fsencode(name) for name in os.listxattr(target, follow_symlinks=isinstance(target, int))]
    return {
        name: os.getxattr(target, name, follow_symlinks=isinstance(target, int)) for name in names if not is_overlays_own(name)
    }


def is_overlays_own(name: bytes) -> bool:
    return name.startswith(_OVERLAYS_OWN)


def _set_xattrs(target: int | bytes, xattrs: dict[bytes, bytes], *, follow: bool) -> None:
    for name, value in xattrs.items():
        if is_overlays_own(name):
            continue
        try:
            os.setxattr(target, name, value, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _NOT_KEPT_HERE:
                raise
