"""Freezing and thawing a group: written, and waited for, since neither version does it at once.

Source: Linux Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst; cgroup-v2.rst, "cgroup.freeze".
"""

from __future__ import annotations

import errno
import time

from firkin.linux.cgroup_files import read, write

_TRIES, _PAUSE = 1000, 0.001  # seconds


def change_v1(directory: str, frozen: bool) -> None:
    """It may stay half-frozen (FREEZING) when a process forks meanwhile, until it is written again. Raises OSError."""
    state, want = directory + "/freezer.state", "FROZEN" if frozen else "THAWED"
    for _ in range(_TRIES):
        write(state, want)
        if read(state).strip() == want:
            return
        time.sleep(_PAUSE)
    raise OSError(errno.EBUSY, f"group does not become {want}", state)


def change_v2(directory: str, frozen: bool) -> None:
    """Raises OSError."""
    write(directory + "/cgroup.freeze", str(int(frozen)))
    for _ in range(_TRIES):
        if f"frozen {int(frozen)}" in read(directory + "/cgroup.events").splitlines():
            return
        time.sleep(_PAUSE)
    raise OSError(errno.EBUSY, "group does not change its freezer state", directory)
