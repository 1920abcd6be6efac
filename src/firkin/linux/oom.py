"""Being told by the kernel that a group runs out of memory, at the moment it does.

Any number of groups are watched through one descriptor, which is readable when there is news. Version 1 rings an eventfd
when the group is out of memory, just before its killer acts; version 2 marks `memory.events` as changed, also for reasons
that are no news here, so that the number of killed processes decides.

The invariant: nothing here blocks, and every descriptor is close-on-exec. A watch must end before its group is removed.

Source: Linux Documentation/admin-guide/cgroup-v1/memory.rst "OOM Control", cgroup-v2.rst "memory.events", epoll(7).
"""

from __future__ import annotations

import os
import select

from firkin.linux.cgroup import Cgroups


class OomWatch:
    """Groups by the names that a caller gives them."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._first = cgroups.version("memory") == 1
        self._poll = select.epoll()
        self._names: dict[int, str] = {}  # by descriptor
        self._kills: dict[int, int] = {}  # those told of already, where version 2 counts them

    def fileno(self) -> int:
        """Readable when `news` has something to say."""
        return self._poll.fileno()

    def add(self, name: str, path: str) -> None:
        """Watch the group; of what has happened before nothing is told. Raises OSError."""
        if not self._cgroups.version("memory"):
            return
        fd = self._ring(path) if self._first else os.open(self._file(path, "memory.events"), os.O_RDONLY | os.O_CLOEXEC)
        self._names[fd] = name
        if not self._first:
            self._kills[fd] = _kills(fd)  # which also arms it: what has been read is no change
        self._poll.register(fd, select.EPOLLIN if self._first else select.EPOLLPRI)

    def drop(self, name: str) -> None:
        """Watch it no longer; fine for one that is not watched."""
        for fd in [fd for fd, one in self._names.items() if one == name]:
            del self._names[fd]
            self._kills.pop(fd, None)
            os.close(fd)  # which takes it out of the poll, too

    def news(self) -> list[str]:
        """Names of the groups that ran out of memory since the last time."""
        return [self._names[fd] for fd, _ in self._poll.poll(0) if self._is_news(fd)]

    def _is_news(self, fd: int) -> bool:
        if self._first:
            return os.eventfd_read(fd) > 0
        before, self._kills[fd] = self._kills[fd], _kills(fd)
        return self._kills[fd] > before

    def _ring(self, path: str) -> int:
        """An eventfd that the group counts up; the kernel forgets it when it is closed."""
        ring = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            control = os.open(self._file(path, "memory.oom_control"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._cgroups.apply(path, [("memory", "cgroup.event_control", f"{ring} {control}")])
            finally:
                os.close(control)
        except OSError:
            os.close(ring)
            raise
        return ring

    def _file(self, path: str, name: str) -> str:
        return self._cgroups.file(path, "memory", name)


def _kills(fd: int) -> int:
    """`oom_kill` of an open memory.events."""
    for line in os.pread(fd, 4096, 0).split(b"\n"):
        if line.startswith(b"oom_kill "):
            return int(line[9:])
    return 0
