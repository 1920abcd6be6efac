"""Mounts by descriptor: open a tree or make a file system, set it up while nobody sees it, then attach it.

The invariant: sources and targets are descriptors, so that no path is looked up twice. Linux before 5.12 lacks
mount_setattr(2); there a tree is attached first and remounted then, its submounts keeping their attributes.
Source: mount(2), fsopen(2), fsconfig(2), fsmount(2), move_mount(2), open_tree(2), mount_setattr(2), pivot_root(2).
"""

from __future__ import annotations

import errno
import os
import struct

from firkin.linux.syscalls import call, cstring

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 0x20
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_MOVE, MS_REC = 0x400, 0x800, 0x1000, 0x2000, 0x4000
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_RELATIME = 0x20000, 0x40000, 0x80000, 0x100000, 0x200000
PROPAGATION = MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED
MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME = 0x70, 0x10, 0x20
MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOSYMFOLLOW = 0x80, 0x200000
_MOUNT_ATTR_IDMAP = 0x100000

_AT_FDCWD = -100
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_OPEN_TREE_CLONE = 1
_FSOPEN_CLOEXEC, _FSMOUNT_CLOEXEC = 1, 1
_SET_FLAG, _SET_STRING, _CREATE, _RECONFIGURE = 0, 1, 6, 7  # FSCONFIG_*
_FSPICK_CLOEXEC, _FSPICK_EMPTY_PATH = 1, 8
_FROM_EMPTY_PATH, _TO_EMPTY_PATH = 0x04, 0x40  # MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
_MOUNT_ATTR = struct.Struct("=QQQQ")  # set, clear, propagation, user namespace

# What mount_setattr calls it, what a remount calls it.
_REMOUNT_FLAGS = (
    (MOUNT_ATTR_RDONLY, MS_RDONLY),
    (MOUNT_ATTR_NOSUID, MS_NOSUID),
    (MOUNT_ATTR_NODEV, MS_NODEV),
    (MOUNT_ATTR_NOEXEC, MS_NOEXEC),
    (MOUNT_ATTR_NOATIME, MS_NOATIME),
    (MOUNT_ATTR_NODIRATIME, MS_NODIRATIME),
)


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    """mount(2), for what the calls below cannot do: changing propagation everywhere at once, and old kernels."""
    words = [None if word is None else cstring(word) for word in (source, target, fstype, data)]
    call("mount", words[0], words[1], words[2], flags, words[3], what=target)


def umount(target: str, flags: int = 0) -> None:
    call("umount2", cstring(target), flags, what=target)


def pivot_root(new: str, old: str) -> None:
    call("pivot_root", cstring(new), cstring(old), what=new)


def filesystem(fstype: str, source: str, attributes: int, options: list[str]) -> int:
    """A new instance of `fstype`, attached nowhere; its descriptor. `options` are "name=value" or "name".

    A refused option raises with the kernel's own words as filename."""
    context = call("fsopen", cstring(fstype), _FSOPEN_CLOEXEC, what=fstype)
    try:
        for option in ["source=" + source, *options] if source else options:
            configure(context, option)
        call("fsconfig", context, _CREATE, None, None, 0, what=fstype)
        return call("fsmount", context, _FSMOUNT_CLOEXEC, attributes, what=fstype)
    except OSError as error:
        raise OSError(error.errno, error.strerror, _complaint(context) or error.filename) from None
    finally:
        os.close(context)


def reconfigure(mounted: int, options: list[str]) -> None:
    """Change options of the file system that is mounted where `mounted` (a descriptor) is."""
    context = call("fspick", mounted, b"", _FSPICK_CLOEXEC | _FSPICK_EMPTY_PATH)
    try:
        for option in options:
            configure(context, option)
        call("fsconfig", context, _RECONFIGURE, None, None, 0)
    except OSError as error:
        raise OSError(error.errno, error.strerror, _complaint(context) or error.filename) from None
    finally:
        os.close(context)


def configure(context: int, option: str) -> None:
    """One "name=value" or "name" for a file system being made. A value has at most 255 bytes."""
    name, equals, value = option.partition("=")
    kind = _SET_STRING if equals else _SET_FLAG
    call("fsconfig", context, kind, cstring(name), cstring(value) if equals else None, 0, what=option)


def _complaint(context: int) -> str:
    """What the kernel logged about the file system it refused to make: "overlay: unknown parameter 'x'"."""
    lines = []
    try:
        while line := os.read(context, 4096):
            lines.append(line.decode("utf-8", "replace").strip()[2:])  # after "e " for error
    except OSError:  # ENODATA: no more
        pass
    return "; ".join(lines)


def tree(source: str | int, recursive: bool) -> int:
    """A copy, attached nowhere, of the mount at a path or descriptor (what a bind mount shows); its descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    if isinstance(source, int):
        return call("open_tree", source, b"", flags | _AT_EMPTY_PATH)
    return call("open_tree", _AT_FDCWD, cstring(source), flags, what=source)


def attach(mount_fd: int, target_fd: int, name: str = "") -> None:
    """Put a detached mount on top of the file or directory open as `target_fd`, or of `name` in it (no symbolic link)."""
    flags = _FROM_EMPTY_PATH if name else _FROM_EMPTY_PATH | _TO_EMPTY_PATH
    call("move_mount", mount_fd, b"", target_fd, cstring(name), flags, what=name)


Change = tuple[int, int, int, bool]
"""What to change about a mount: attributes to set, to clear (MOUNT_ATTR_*), propagation (MS_*), its whole tree or not."""


def attach_with(mount_fd: int, target_fd: int, changes: list[Change], name: str = "") -> None:
    """`attach`, the mount having been changed before anybody can see it (where the kernel can)."""
    try:
        for change in changes:
            set_attributes(mount_fd, *change)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        attach(mount_fd, target_fd, name)
        for change in changes:
            _remount(mount_fd, *change)
        return
    attach(mount_fd, target_fd, name)


def change(mount_fd: int, change: Change) -> None:
    """Change an attached mount."""
    try:
        set_attributes(mount_fd, *change)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _remount(mount_fd, *change)


def set_attributes(mount_fd: int, set_: int, clear: int, propagation: int, recursive: bool) -> None:
    """mount_setattr(2); ENOSYS before Linux 5.12."""
    clear |= MOUNT_ATTR__ATIME if set_ & MOUNT_ATTR__ATIME else 0  # a choice of one out of several
    attributes = _MOUNT_ATTR.pack(set_, clear, propagation, 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    call("mount_setattr", mount_fd, b"", flags, attributes, len(attributes))


def idmap(mount_fd: int, users: int, recursive: bool) -> None:
    """Show who owns files as the user namespace open as `users` maps it: id 0 on the disk is its id 0. Only before the
    mount is attached, and once. EINVAL: its file system cannot (before Linux 5.12 none could), or it is mapped already."""
    attributes = _MOUNT_ATTR.pack(_MOUNT_ATTR_IDMAP, 0, 0, users)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    call("mount_setattr", mount_fd, b"", flags, attributes, len(attributes))


def _remount(mount_fd: int, set_: int, clear: int, propagation: int, recursive: bool) -> None:
    """The same with mount(2). Attributes change on the top mount only, as they did in Docker on such kernels."""
    path = f"/proc/self/fd/{mount_fd}"
    if set_ or clear:
        flags = os.fstatvfs(mount_fd).f_flag  # ST_* have the values of MS_*
        for attribute, bit in _REMOUNT_FLAGS:
            flags = (flags & ~bit if clear & attribute else flags) | (bit if set_ & attribute else 0)
        mount(None, path, None, MS_BIND | MS_REMOUNT | flags & sum(bit for _, bit in _REMOUNT_FLAGS))
    if propagation:
        mount(None, path, None, propagation | (MS_REC if recursive else 0))


def make_parent_private(path: str) -> None:
    """Cut the mount that `path` lies on off from its peers, so that what is mounted at `path` shows nowhere else."""
    while True:
        try:
            return mount(None, path, None, MS_PRIVATE)
        except OSError as error:
            if error.errno != errno.EINVAL or path == "/":  # EINVAL: not where a mount begins
                raise
        path = path.rpartition("/")[0] or "/"
