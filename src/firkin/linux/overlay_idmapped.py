"""An overlay whose layers are shown with other owners than they have on the disk: no layer is copied or changed for it.

The invariant: all layers lie below two directories, which are copied as mounts, mapped, and used for this overlay only. The
overlay is the caller's own, not the user namespace's, so it has the features and the attributes (trusted.*) of any other. What
it makes by itself, beginning with its working directory, it makes as `root`, the machine's ids for root in the namespace:
the caller's own have no place on a mapped mount, and the overlay would be read-only.
A kernel takes layers from mounts that are attached nowhere since Linux 6.15; an older one (5.19 on) wants them in the mount
namespace of whoever makes the overlay, so the caller steps into the child's for a moment, where nobody else sees them.
Source: Linux Documentation/filesystems/overlayfs.rst, Documentation/filesystems/idmappings.rst, mount_setattr(2).
"""

from __future__ import annotations

import errno
import os
import time

from firkin.linux import mount, overlay, process, userns

_MOST_LOOKS, _PAUSE = 2000, 0.001  # seconds
_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class Layers:
    """`lowers` top first; `upper` and `work` in one directory of their own."""

    def __init__(self, lowers: list[str], upper: str, work: str) -> None:
        # From two levels up, so that the mount's options (/proc/PID/mountinfo) still tell which layers these are.
        self.lower_base = os.path.commonpath([os.path.dirname(os.path.dirname(path)) for path in lowers])
        self.upper_base = os.path.dirname(upper)
        self.lowers = ["/" + os.path.relpath(path, self.lower_base) for path in lowers]
        self.upper, self.work = upper[len(self.upper_base) :], work[len(self.upper_base) :]
        self.names, self.place = (lowers, upper), work


def detached(layers: Layers, users: int, root: tuple[int, int], options: list[str], child: int) -> int:
    """The overlay, mapped as the user namespace open as `users`, attached nowhere. `child`: a process in a mount namespace
    of its own, which need not stand still meanwhile. EINVAL: the layers' file system or the kernel cannot."""
    lower = upper = -1
    try:
        lower = _mapped(layers.lower_base, users)
        upper = _mapped(layers.upper_base, users)
        _check(layers, lower, upper)
        userns.act_as(*root)
        try:
            return _made(layers, (lower, upper), options, child)
        finally:
            userns.act_as(0, 0)
    finally:
        for fd in (lower, upper):
            if fd >= 0:
                os.close(fd)


def _made(layers: Layers, bases: tuple[int, int], options: list[str], child: int) -> int:
    try:
        return overlay.make(*_paths(layers, *bases), options)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        complaint = error.filename
    return _elsewhere(layers, bases, options, child, complaint)


def _mapped(path: str, users: int) -> int:
    tree = mount.tree(path, recursive=False)
    try:
        mount.set_attributes(tree, 0, 0, mount.MS_PRIVATE, False)
        mount.idmap(tree, users, recursive=False)
    except OSError as error:
        os.close(tree)
        raise OSError(error.errno, error.strerror, f"idmapped mount of {path}") from None
    return tree


def _paths(layers: Layers, lower: int, upper: int) -> tuple[list[str], str, str]:
    """The layers as they can be found through descriptors of this process."""
    above = f"/proc/self/fd/{upper}"
    return [f"/proc/self/fd/{lower}{path}" for path in layers.lowers], above + layers.upper, above + layers.work


def _check(layers: Layers, lower: int, upper: int) -> None:
    """A directory that has something mounted over it looks different below a copy of what lies under that."""
    (first, *_), top = layers.names
    lowers, above, _ = _paths(layers, lower, upper)
    for named, copied in ((first, lowers[0]), (top, above)):
        if not os.path.samestat(os.stat(named), os.stat(copied)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), f"idmapped mount of {named}")


def _elsewhere(layers: Layers, bases: tuple[int, int], options: list[str], child: int, complaint: str) -> int:
    """The same in the child's mount namespace. If this fails too, `complaint` is the better explanation."""
    there = _mount_namespace(child)
    own, cwd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC), os.open(".", _OPEN_DIRECTORY)
    try:
        process.setns(there, process.CLONE_NEWNS)
        try:
            return _attached(layers, bases, options)
        finally:
            process.setns(own, process.CLONE_NEWNS)
            os.fchdir(cwd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, complaint) from None
    finally:
        for fd in (own, cwd, there):
            os.close(fd)


def _mount_namespace(child: int) -> int:
    """A descriptor of it, once it is not this process's any more: a spare child makes its own when it gets its plan."""
    own = os.stat("/proc/self/ns/mnt")
    for _ in range(_MOST_LOOKS):
        found = os.open(f"/proc/{child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        if not os.path.samestat(os.fstat(found), own):
            return found
        os.close(found)
        time.sleep(_PAUSE)
    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), "the child's mount namespace")


def _attached(layers: Layers, bases: tuple[int, int], options: list[str]) -> int:
    """With the bases attached to the working directory, which the child has no business with, while the overlay is made; it
    holds on to them by itself."""
    place = os.open(layers.place, _OPEN_DIRECTORY)
    done = 0
    try:
        for base in bases:
            mount.attach(base, place)
            done += 1
        lowers, upper, work = _paths(layers, *bases)
        root = overlay.attach(layers.place, lowers, upper, work, options)
        try:
            return mount.tree(root, recursive=False)
        finally:
            os.close(root)
            mount.umount(layers.place, mount.MNT_DETACH)
    finally:
        os.close(place)
        for _ in range(done):
            mount.umount(layers.place, mount.MNT_DETACH)
