"""How keeper and launcher come to run in the background, and the parent of last resort above them.

Three processes: keeper and launcher, one of which is the parent of each container, and above both a parent that only
waits. When a keeper dies for the second time, the containers it had inherited or, as a launcher, started would go to
init and their exit status with them; they come to this one instead, which writes it down.
Source: daemon(7), PR_SET_CHILD_SUBREAPER in prctl(2).
"""

from __future__ import annotations

import os
import socket
import sys

from firkin.linux.process import get_rlimit, set_child_subreaper, set_rlimit
from firkin.linux.syscalls import call
from firkin.runtime import wire
from firkin.runtime.exits import bury, find_running, next_ended

_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_RLIMIT_NOFILE = 7
_LOCK_EX, _LOCK_NB = 2, 4
_OOM_SCORE_ADJ = "-999"  # these cost little and everything hangs on them


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `firkin.runtime.MODULE` (its `main`) in an interpreter that loads nothing else."""
    start = f"import sys; sys.path.insert(0, {_SOURCE!r}); from firkin.runtime.{module} import main; main()"
    return [sys.executable, "-ISE", "-c", start, *arguments]


def detach(exec_root: str) -> int:
    """Return in a process of a session of its own, below the parent of last resort; the calling process waits, and
    exits with 0 once something is written to the descriptor returned, with 1 if it is closed before that."""
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        os._exit(0 if os.read(read, 1) else 1)
    os.close(read)
    os.setsid()
    os.chdir("/")
    _protect()
    set_child_subreaper()
    if os.fork():
        os.close(write)
        _bury_orphans(exec_root)
        os._exit(0)
    return write


def only_pair(exec_root: str) -> int:
    """A descriptor of the lock that keeper and launcher hold together, so that there is never a second pair however long
    one of them takes to replace the other. Raises BlockingIOError if there is a pair. Source: flock(2)."""
    lock = os.open(f"{exec_root}/shepherds.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        call("flock", lock, _LOCK_EX | _LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def pair_exists(exec_root: str) -> bool:
    """Whether a keeper or a launcher is alive, even if it does not answer yet."""
    try:
        os.close(only_pair(exec_root))
    except BlockingIOError:
        return True
    return False


def _protect() -> None:
    """Room for many containers' descriptors, and not the first to go when memory is short, where that is allowed."""
    try:
        _, hard = get_rlimit(_RLIMIT_NOFILE)
        set_rlimit(_RLIMIT_NOFILE, hard, hard)
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE_ADJ)
    except OSError:
        pass


def _bury_orphans(exec_root: str) -> None:
    """Wait until nobody is left; of a container that ends up here, write down and have announced how it ended."""
    while ended := next_ended():
        pid, status = ended
        name = find_running(exec_root, pid)
        when = bury(exec_root, name, pid, status)
        if name:
            _announce(exec_root, name, pid, status, when)


def _announce(exec_root: str, *ended: str | int) -> None:
    """Have the keeper tell the daemon; without a keeper, the record must do."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            sock.connect(f"{exec_root}/keeper.sock")
            wire.send(sock, ("exited", *ended))
        except OSError:
            pass
