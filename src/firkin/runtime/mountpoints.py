"""Where a step may put a mount.

The invariant: nothing but a few harmless files is mounted inside a proc file system, whatever links of an image led
there: it could pass for the kernel's word about a process, a label, a limit (CVE-2019-16884). What is asked is the
opened place itself, so that nobody can swap it afterwards.
Source: runc libcontainer/rootfs_linux.go (checkProcMount).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.state import State

# Files of /proc that emulators such as lxcfs replace; nothing trusts them.
_REPLACEABLE = (
    "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled"
)
REPLACEABLE = frozenset("/proc/" + name for name in _REPLACEABLE.split())
PROC_FILE, PROC_ITSELF = "file", "proc"  # what a plan may allow to be mounted on: a file of proc, the whole of it


def find(state: State, target: str, create: str = "", allowed: str = "") -> int:
    """Open it; `create` as `State.place` has it. EPERM if it lies inside proc and neither PROC_FILE nor PROC_ITSELF says
    that it may."""
    place = state.place(target, create)
    if not allowed and fs.filesystem_type(place) == fs.PROC_SUPER_MAGIC:
        os.close(place)
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), f'"{target}" cannot be mounted because it is inside /proc')
    return place


def demand_proc(source: int, target: str) -> None:
    """Only a proc file system may take the place of one."""
    if fs.filesystem_type(source) != fs.PROC_SUPER_MAGIC:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), f'"{target}" cannot be mounted because it is not of type proc')
