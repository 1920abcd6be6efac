"""Where a worker does its work: a root directory of its own that it cannot leave.

Invariant: after `enter` no path leads outside, neither `..` nor an absolute symlink nor a mount, because the outside is
no longer mounted (or, for a running container, never was) in the worker's mount namespace; and no device can be opened.
Nothing may be imported after it, and no user or host name looked up: code found there is the container's (CVE-2019-14271).
Source: mount_namespaces(7), pivot_root(2), setns(2).
"""

from __future__ import annotations

import errno
import os
from typing import Any

from firkin.linux import fs, mount, overlay, process

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

View = dict[str, Any]
"""Which root to enter (a dictionary because it crosses to another process):
{"pidfd": number, "own_users": bool}: the one of that process, mounts and all, as root of its user namespace if it has one;
{"directory": path}: that directory;
{"staging": path, "lowers": [top first], "upper": path or "", "work": path or "", "binds": [`Bind`], "read_only": bool}: the
overlay of these, mounted on the directory `staging` as far as this process can see, with the binds.
"""

Bind = tuple[str | int, str, bool]
"""What to show where, and whether it is read-only. The source is a path of the host's, or a mount open and attached nowhere."""


def enter(view: View) -> None:
    """Make `view` the root directory of this process, which must have one thread."""
    if "pidfd" in view:
        users = process.CLONE_NEWUSER if view["own_users"] else 0
        process.setns(view["pidfd"], process.CLONE_NEWNS | users)
        if users:
            os.setgroups([])
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        process.unshare(process.CLONE_NEWNS)
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_SLAVE)
        _forbid_devices()
        return
    process.unshare(process.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    if "directory" in view:
        root = mount.tree(view["directory"], recursive=False)
        place = os.open(view["directory"], _DIRECTORY)
        mount.attach(root, place)
    else:
        root = _merged(view)
    os.fchdir(root)
    mount.pivot_root(".", ".")  # the old root now lies on top of the new one: pivot_root(2), NOTES
    mount.umount(".", mount.MNT_DETACH)
    os.chdir("/")
    _forbid_devices()


def _forbid_devices() -> None:
    """To open a device is to have its driver act, which for a watchdog is a reboot; and a worker is in no device cgroup. A
    file may be swapped for a device node at any moment, so none can be opened here. Linux before 5.12 cannot do this."""
    root = os.open("/", _DIRECTORY)
    try:
        mount.set_attributes(root, mount.MOUNT_ATTR_NODEV, 0, 0, True)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    finally:
        os.close(root)


def _merged(view: View) -> int:
    lowers: list[str] = view["lowers"]
    if view["upper"] or len(lowers) > 1:
        root = overlay.attach(view["staging"], lowers, view["upper"], view["work"], [*overlay.OPTIONS])
    else:  # an overlay wants two layers
        root = mount.tree(lowers[0], recursive=False)
        mount.attach(root, os.open(view["staging"], _DIRECTORY))
    for source, target, read_only in view["binds"]:
        _bind(root, source, target, read_only)
    if view["read_only"]:
        mount.change(root, (mount.MOUNT_ATTR_RDONLY, 0, 0, False))
    return root


def _bind(root: int, source: str | int, target: str, read_only: bool) -> None:
    tree = source if isinstance(source, int) else mount.tree(source, recursive=True)
    place = fs.make_in_root(root, target, "dir" if fs.kind_of(tree) == fs.S_IFDIR else "file")
    attributes = mount.MOUNT_ATTR_RDONLY if read_only else 0
    mount.attach_with(tree, place, [(attributes, 0, 0, True)])
