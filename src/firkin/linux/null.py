"""The host's null device, to be lent to containers.

The invariant: what is lent really is the null device, and its node (mode, owner, times), which belongs to the host, cannot
be changed through it: a read-only mount forbids that and lets reads and writes through. Source: null(4), mount_setattr(2).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs, mount

_NUMBER = os.makedev(1, 3)
SEALED = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NOEXEC


def open_node() -> int:
    """/dev/null as O_PATH, to be copied as a mount."""
    node = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    if fs.kind_of(node) != fs.S_IFCHR or os.fstat(node).st_rdev != _NUMBER:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), "/dev/null")
    return node


def open_sealed() -> int:
    """Open for reading and writing. Letting go of the mount takes the kernel 0.1 ms: once a process is enough. Linux before
    5.12 cannot seal it; an ordinary user may not, but cannot change the node either."""
    node = open_node()
    try:
        tree = _sealed(node)
    except PermissionError:
        tree = os.dup(node)
    try:
        return os.open(f"/proc/self/fd/{tree}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(tree)
        os.close(node)


def _sealed(node: int) -> int:
    tree = mount.tree(node, recursive=False)
    try:
        mount.set_attributes(tree, SEALED, 0, 0, False)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    return tree
