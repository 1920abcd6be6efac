"""Time namespaces: giving birth to a child whose monotonic and boot-time clocks are shifted.

A new namespace's offsets can be written only while no process is in it, so neither clone3(2) nor its own first process
can do it: the parent makes the namespace, for its children only, writes them, clones, and takes its own back.
Source: time_namespaces(7), unshare(2), setns(2).
"""

from __future__ import annotations

import os

from firkin.linux import fs, process

_OWN, _OFFSETS = "/proc/self/ns/time", "/proc/self/timens_offsets"


def enter_for_children(offsets: str) -> int:
    """From now on children are born in a new namespace with `offsets` ("monotonic SECONDS NANOSECONDS" lines). Returns a
    descriptor for `leave`. EINVAL: the kernel has no time namespaces; ERANGE: a clock would be negative."""
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.unshare(process.CLONE_NEWTIME)
        fs.write_file(_OFFSETS, offsets)
    except BaseException:
        leave(own)
        raise
    return own


def leave(own: int) -> None:
    """Children are born in this process's namespace again."""
    try:
        process.setns(own, process.CLONE_NEWTIME)
    finally:
        os.close(own)
