"""Processes and namespaces: clone3, setns, unshare, prctl, signals, limits.

The invariant: `clone3` is called by a single-threaded process only; its child is a copy of one thread, and locks that
other threads held would stay locked in it for ever.
Source: clone(2), pidfd_open(2), setns(2), namespaces(7), prctl(2), getrlimit(2), personality(2), keyctl(2).
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # without its enumerations
import os
import struct

from firkin.linux import libc
from firkin.linux.syscalls import call, call_locked, cstring

CLONE_NEWTIME = 0x80
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_CLONE_PIDFD = 0x1000
_CLONE_CLEAR_SIGHAND = 0x1_0000_0000
_CLONE_INTO_CGROUP = 0x2_0000_0000
_CLONE_ARGS = struct.Struct("=11Q")  # flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid size cgroup

_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 4, 36, 38
_KEYCTL_JOIN_SESSION_KEYRING = 1
_PF_EXITING = 0x4
_RLIMIT = struct.Struct("=QQ")
RLIM_INFINITY = 2**64 - 1

# Made once: a buffer takes longer to make than most system calls to return.
_pidfd = libc.c_int()
_limits = libc.create_string_buffer(_RLIMIT.size)

_DEFAULT_ACTION = bytes(32)  # struct sigaction: SIG_DFL is 0
_SIGNAL_SET_SIZE = 8

# What os.fork does for the interpreter around fork(2).
_before_fork = libc.locked_function("PyOS_BeforeFork")
_after_fork_parent = libc.locked_function("PyOS_AfterFork_Parent")
_after_fork_child = libc.locked_function("PyOS_AfterFork_Child")


def clone3(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """(pid, pidfd) in the parent, (0, -1) in the child, like fork with `flags` (CLONE_NEW*, CLONE_PARENT) on top.

    The child starts with every handled signal at its default, in the version 2 cgroup open as `cgroup` if one is given."""
    flags |= _CLONE_PIDFD | _CLONE_CLEAR_SIGHAND | (_CLONE_INTO_CGROUP if cgroup >= 0 else 0)
    exit_signal = 0 if flags & CLONE_PARENT else signal.SIGCHLD  # a sibling's is its parent's business
    arguments = _CLONE_ARGS.pack(flags, libc.addressof(_pidfd), 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup, 0))
    _before_fork()
    try:
        pid = call_locked("clone3", arguments, len(arguments))
    except OSError:
        _after_fork_parent()
        raise
    if pid == 0:
        _after_fork_child()
        return 0, -1
    _after_fork_parent()
    return pid, _pidfd.value


# The standard library's, listed here so that all there is to do with processes is in one place.
pidfd_open = os.pidfd_open
pidfd_send_signal = signal.pidfd_send_signal


def pidfd_getfd(pidfd: int, number: int) -> int:
    """A duplicate of descriptor `number` of the process that `pidfd` stands for; EBADF if it has none."""
    return call("pidfd_getfd", pidfd, number, 0)


def setns(fd: int, kinds: int) -> None:
    """Enter the namespace open as `fd`, or those `kinds` (CLONE_NEW*) of the process that `fd` is a pidfd of."""
    call("setns", fd, kinds)


def unshare(kinds: int) -> None:
    call("unshare", kinds)


def reset_signals() -> None:
    """Every signal at its default, none blocked, as a program expects; clone3 has seen to those that were handled. By
    system call: the interpreter's own book-keeping would cost a child that has just been cloned some 300 us."""
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) == signal.SIG_IGN:
            call("rt_sigaction", number, _DEFAULT_ACTION, None, _SIGNAL_SET_SIZE)
    call("rt_sigprocmask", signal.SIG_SETMASK, bytes(_SIGNAL_SET_SIZE), None, _SIGNAL_SET_SIZE)


def set_dumpable(on: bool) -> None:
    """Off: no process without full capabilities may trace this one or look into its /proc files, until it execs."""
    call("prctl", _PR_SET_DUMPABLE, int(on), 0, 0, 0)


def set_child_subreaper() -> None:
    call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_no_new_privileges() -> None:
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def set_personality(persona: int) -> None:
    call("personality", persona)


def set_hostname(name: str) -> None:
    call("sethostname", data := cstring(name), len(data), what=name)


def set_domainname(name: str) -> None:
    call("setdomainname", data := cstring(name), len(data), what=name)


def join_session_keyring(name: str) -> None:
    """A new, empty session keyring, so that the keys of the engine's own session stay out of sight."""
    call("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, cstring(name), 0, 0, 0, what=name)


def get_rlimit(resource: int) -> tuple[int, int]:
    """(soft, hard), RLIM_INFINITY meaning none."""
    call("prlimit64", 0, resource, None, _limits)
    soft, hard = _RLIMIT.unpack(_limits.raw)
    return soft, hard


def set_rlimit(resource: int, soft: int, hard: int) -> None:
    """-1 and RLIM_INFINITY both mean no limit."""
    call("prlimit64", 0, resource, _RLIMIT.pack(soft & RLIM_INFINITY, hard & RLIM_INFINITY), None)


def raise_hard_limit(pid: int, resource: int, hard: int) -> None:
    """Of process `pid` (0: this one), if it is lower; the soft limit stays. A kernel that forbids it leaves it as it is."""
    call("prlimit64", pid, resource, None, _limits)
    soft, most = _RLIMIT.unpack(_limits.raw)
    if hard & RLIM_INFINITY > most:
        try:
            call("prlimit64", pid, resource, _RLIMIT.pack(soft, hard & RLIM_INFINITY), None)
        except PermissionError:
            pass


def in_user_namespace() -> bool:
    """Whether this process's user ids are other than the machine's: root here is an ordinary user there. user_namespaces(7)"""
    fd = os.open("/proc/self/uid_map", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).split() != [b"0", b"0", b"4294967295"]
    finally:
        os.close(fd)


def start_time(pid: int) -> int:
    """When the process started, in clock ticks since boot: with the pid, a name that is never used twice (proc(5))."""
    return int(stat_fields(pid)[19])


def is_ending(pid: int) -> bool:
    """Whether it has ended or is about to: a process that is killed loses its descriptors one by one, so that some of them may
    still seem to be in use (PF_EXITING among the flags of proc_pid_stat(5))."""
    try:
        return bool(int(stat_fields(pid)[6]) & _PF_EXITING)
    except OSError:
        return True


def stat_fields(pid: int) -> list[bytes]:
    """The fields of proc_pid_stat(5) from the third on: what is before may contain spaces. Raises OSError."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    finally:
        os.close(fd)
