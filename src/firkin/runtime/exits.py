"""Who runs and how it ended, on disk: `running/ID` and `exited/ID`, each the text of a symbolic link: it is
there whole or not at all, and takes no block of the disk, whose release can cost milliseconds.

Invariant: an ended process is buried in this order: exit written down, body reaped, exit announced. Whoever inherits the
dead because the process in charge was killed half-way finds either the body or the record.
`running/ID` is "PID START-TICKS" (proc_pid_stat(5), field 22, so that a reused pid is told apart);
`exited/ID` is "PID WAIT-STATUS TIME-NS", put in place by a rename.
Source: waitid(2), WNOWAIT.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from firkin.linux.process import start_time


def write_running(exec_root: str, container_id: str, pid: int) -> None:
    _write(f"{exec_root}/running/{container_id}", f"{pid} {start_time(pid)}")


def forget_running(exec_root: str, container_id: str) -> None:
    try:
        os.unlink(f"{exec_root}/running/{container_id}")
    except FileNotFoundError:
        pass


def is_running(exec_root: str, container_id: str, pid: int) -> bool:
    """Whether `pid`, alive or not yet reaped, is recorded as the first process of the container."""
    try:
        return os.readlink(f"{exec_root}/running/{container_id}") == f"{pid} {start_time(pid)}"
    except OSError:
        return False


def find_running(exec_root: str, pid: int) -> str:
    """The id of the container whose first process `pid` is; "" when it is none."""
    return next((name for name in os.listdir(f"{exec_root}/running") if is_running(exec_root, name, pid)), "")


def write_exited(exec_root: str, container_id: str, pid: int, status: int, when: int) -> None:
    """Record an exit; only then does the process cease to be recorded as running."""
    fresh = f"{exec_root}/{container_id}.exit"
    _write(fresh, f"{pid} {status} {when}")
    os.rename(fresh, f"{exec_root}/exited/{container_id}")
    forget_running(exec_root, container_id)


def next_ended(options: int = 0) -> tuple[int, int] | None:
    """An ended child, which stays to be reaped, and its wait status as waitpid would give it. Waits for one, unless
    `options` has WNOHANG; None when there is none."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | options)
    except ChildProcessError:
        return None
    if ended is None:
        return None
    if ended.si_code == os.CLD_EXITED:
        return ended.si_pid, ended.si_status << 8
    return ended.si_pid, ended.si_status | (0x80 if ended.si_code == os.CLD_DUMPED else 0)


def bury(exec_root: str, container_id: str, pid: int, status: int) -> int:
    """Reap an ended child, recorded first if it was a container (else: ""); the time of its end in ns."""
    when = time.time_ns()
    if container_id and is_running(exec_root, container_id, pid):
        write_exited(exec_root, container_id, pid, status, when)
    os.waitpid(pid, 0)
    return when


class Children:
    """Processes whose exit somebody waits for. `known`: pid -> (id, whether it is a container with records).

    `on_end(pid)` is called for every ended child before anything else, `on_exit(id, pid, status, time)` once a known one
    is buried.
    """

    def __init__(self, exec_root: str, on_end: Callable[[int], None], on_exit: Callable[[str, int, int, int], None]) -> None:
        self._exec_root = exec_root
        self._on_end = on_end
        self._on_exit = on_exit
        self.known: dict[int, tuple[str, bool]] = {}

    def reap(self) -> None:
        """Bury and announce every child that has ended."""
        while ended := next_ended(os.WNOHANG):
            pid, status = ended
            self._on_end(pid)
            name, record = self.known.pop(pid, ("", False))
            when = bury(self._exec_root, name if record else "", pid, status)
            if name:
                self._on_exit(name, pid, status, when)


def _write(path: str, text: str) -> None:
    try:
        os.symlink(text, path)
    except FileExistsError:  # left behind by somebody who was killed
        os.unlink(path)
        os.symlink(text, path)
