"""The step of a plan that shows a device of the host where none may be made: in a user namespace.

The node is found under the same path on the host, or by its number as udev names it, and is that device or nothing.
Source: user_namespaces(7), runc libcontainer/rootfs_linux.go (bindMountDeviceNode), inode(7).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs, mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.state import State

_KIND = 0o170000


def device(state: State, path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> None:
    """Arguments as those of "mknod"; owner and permissions stay the host's."""
    kind, number = mode & _KIND, os.makedev(major, minor)
    name = "char" if kind == fs.S_IFCHR else "block"
    for source in (path, f"/dev/{name}/{major}:{minor}"):
        try:
            node = mount.tree(source, recursive=False)
        except FileNotFoundError:
            continue
        info = os.fstat(node)
        if info.st_mode & _KIND == kind and info.st_rdev == number:
            place = state.place(path, "file")
            mount.attach(node, place)
            os.close(place)
            os.close(node)
            return
        os.close(node)
    raise FileNotFoundError(errno.ENOENT, f"the host shows no {name} device {major}:{minor} there", path)


STEPS = {"device": device}
