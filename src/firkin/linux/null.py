"""The host's null device, to be lent to containers.

The invariant: what is lent really is the null device, and its node (mode, owner, times), which belongs to the host, cannot
be changed through it: a read-only mount forbids that and lets reads and writes through. Each process has it opened anew: flags,
owner and locks belong to what was opened, and would be everybody's. Source: null(4), mount_setattr(2), fcntl(2), open(2).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs, mount

NUMBER = os.makedev(1, 3)
SEALED = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NOEXEC


def open_node() -> int:
    """/dev/null as O_PATH, to be copied as a mount."""
    node = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    if not is_null(node):
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), "/dev/null")
    return node


def is_null(fd: int) -> bool:
    return fs.kind_of(fd) == fs.S_IFCHR and os.fstat(fd).st_rdev == NUMBER


def open_again(proc: int, sealed: int) -> int:
    """Open for reading and writing what `open_sealed` has made, by way of `proc`, a /proc of the host's. Nobody else has it."""
    return os.open(f"self/fd/{sealed}", os.O_RDWR | os.O_CLOEXEC, dir_fd=proc)


def open_sealed() -> int:
    """Not to be lent but to be opened again. Letting go of the mount takes the kernel 0.1 ms: once a process is enough. Linux
    before 5.12 cannot seal it; an ordinary user may not, but cannot change the node either."""
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
