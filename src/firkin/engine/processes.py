"""A container's processes, as the host numbers them, and the end of some of them.

Invariant: a signal goes through a pidfd whose process was looked at after it was opened, so never to a pid's next owner.
Source: proc_pid_stat(5), pidfd_open(2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

from firkin.engine.engine import Engine
from firkin.engine.table import Live
from firkin.linux import procfs

_PARENT, _SESSION, _STARTED = 1, 3, 19  # among the fields of /proc/PID/stat, counted from the state
_ROUNDS = 20  # of looking for what was forked while we looked
Row = tuple[int, int, int]  # parent, session, time of its start


async def pids(engine: Engine, live: Live) -> set[int]:
    return await asyncio.to_thread(_members, engine, live)


async def kill_descent(engine: Engine, live: Live, leader: int) -> bool:
    """SIGKILL to a session's leader, whoever is in its session, and their children; whether there was anybody. Who has left
    both, by setsid(2) and a parent that ended, is the container's like any daemon of its own."""
    return await asyncio.to_thread(_kill_descent, engine, live, leader)


def _members(engine: Engine, live: Live) -> set[int]:
    return set(engine.cgroups.processes(live.cgroup)) if engine.machine.cgroups else _in_namespace_of(live.pid)


def _kill_descent(engine: Engine, live: Live, leader: int) -> bool:
    """All are stopped before any is killed: who is killed while it forks leaves a child that is nobody's."""
    doomed: dict[int, Row] = {}
    for _ in range(_ROUNDS):
        table = {pid: row for pid in _members(engine, live) if (row := _row(pid))}
        more = {pid: table[pid] for pid in descent(table, leader) if pid not in doomed}
        if not more:
            break
        doomed |= more
        for pid, row in more.items():
            _send(pid, row, signal.SIGSTOP)
    for pid, row in doomed.items():
        _send(pid, row, signal.SIGKILL)
    return bool(doomed)


def descent(table: dict[int, Row], leader: int) -> set[int]:
    """Those of `table` that are the leader's, its session's, or children of such."""
    doomed = {pid for pid, (_, session, _) in table.items() if leader in (pid, session)}
    while more := {pid for pid, (parent, _, _) in table.items() if parent in doomed} - doomed:
        doomed |= more
    return doomed


def _send(pid: int, row: Row, number: signal.Signals) -> None:
    """It may have another parent or session by now; when it was started tells whether it is the same."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            if (now := _row(pid)) and now[-1] == row[-1]:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def _row(pid: int) -> Row | None:
    """None when it is gone, or a zombie, which is as good."""
    try:
        state, *fields = procfs.read(pid, "stat").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else tuple(int(fields[at - 1]) for at in (_PARENT, _SESSION, _STARTED))  # type: ignore[return-value]


def _in_namespace_of(leader: int) -> set[int]:
    """Where there are no groups to ask: the processes of its pid namespace."""
    namespace, found = os.stat(f"/proc/{leader}/ns/pid").st_ino, set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended, or is none of ours
            if os.stat(f"/proc/{name}/ns/pid").st_ino == namespace:
                found.add(int(name))
    return found
