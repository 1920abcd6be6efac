"""Stepping over into namespaces for the length of a clone: those that take effect for children only.

The invariant: `leave` puts this process's own back, or raises; every later child would be born in the wrong place.
Source: pid_namespaces(7), time_namespaces(7).
"""

from __future__ import annotations

import os

from firkin.linux import process, timens


class Elsewhere:
    """Namespaces for children to be born in, and the way back."""

    def __init__(self) -> None:
        self._pidns = self._timens = -1  # this process's own

    def enter(self, pidns: int, offsets: str) -> None:
        """The pid namespace open as `pidns` (unless -1), and a new time namespace with `offsets` (unless "")."""
        if pidns >= 0:
            self._pidns = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
            process.setns(pidns, process.CLONE_NEWPID)
        if offsets:
            self._timens = timens.enter_for_children(offsets)

    def leave(self) -> None:
        if self._pidns >= 0:
            process.setns(self._pidns, process.CLONE_NEWPID)
            os.close(self._pidns)
        if self._timens >= 0:
            timens.leave(self._timens)
