"""Where a worker does its work: a root directory of its own that it cannot leave.

Invariant: after `enter` no path leads outside, neither `..` nor an absolute symlink nor a mount, because the outside is
no longer mounted (or, for a running container, never was) in the worker's mount namespace. Nothing may be imported after
it, and no user or host name looked up: code found there is the container's (CVE-2019-14271).
Source: mount_namespaces(7), pivot_root(2), setns(2).
"""

from __future__ import annotations

import os
from typing import Any

from firkin.linux import fs, mount, overlay, process

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

View = dict[str, Any]
"""Which root to enter (a dictionary because it crosses to another process):
{"pidfd": number}: the one of that process, mounts and all;
{"directory": path}: that directory;
{"staging": path, "lowers": [top first], "upper": path or "", "work": path or "", "binds": [(source, target, read-only)],
"read_only": bool}: the overlay of these, mounted on the directory `staging` as far as this process can see, with the binds.
"""


def enter(view: View) -> None:
    """Make `view` the root directory of this process, which must have one thread."""
    if "pidfd" in view:
        process.setns(view["pidfd"], process.CLONE_NEWNS)
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


def _merged(view: View) -> int:
    lowers: list[str] = view["lowers"]
    if view["upper"] or len(lowers) > 1:
        root = overlay.attach(view["staging"], lowers, view["upper"], view["work"], [])
    else:  # an overlay wants two layers
        root = mount.tree(lowers[0], recursive=False)
        mount.attach(root, os.open(view["staging"], _DIRECTORY))
    for source, target, read_only in view["binds"]:
        _bind(root, source, target, read_only)
    if view["read_only"]:
        mount.change(root, (mount.MOUNT_ATTR_RDONLY, 0, 0, False))
    return root


def _bind(root: int, source: str, target: str, read_only: bool) -> None:
    tree = mount.tree(source, recursive=True)
    place = fs.make_in_root(root, target, "dir" if os.path.isdir(source) else "file")
    attributes = mount.MOUNT_ATTR_RDONLY if read_only else 0
    mount.attach_with(tree, place, [(attributes, 0, 0, True)])
