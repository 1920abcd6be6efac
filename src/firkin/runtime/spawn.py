"""Starting a child from a plan without waiting for it: clone, the parent's steps, and what the child says afterwards.

The invariant: when `spawn` returns, the child runs on its own; when it raises, there is no child.
"""

from __future__ import annotations

import errno
import marshal
import os
import select
import signal
import socket

from firkin.linux import fds, null, process
from firkin.linux.netlink import Netlink
from firkin.runtime import child, steps_parent
from firkin.runtime.spare import Spare
from firkin.runtime.state import explain, number_of, steps_of

_LONGEST_MESSAGE = 1 << 16


class SpawnError(OSError):
    """`where` is "clone" or "parent"; `index` the step's place in the plan's list, -1 for the clone itself.

    Whatever is wrong with one plan, the launcher must survive it: a malformed one is an error like any other."""

    def __init__(self, where: str, index: int, error: Exception) -> None:
        number = (error.errno if isinstance(error, OSError) else None) or errno.EINVAL
        super().__init__(number, os.strerror(number), explain(error))
        self.where, self.index = where, index


class Spawned:
    """A child on its way: its process id, pidfd, and the (non-blocking) socket on which it reports."""

    def __init__(self, pid: int, pidfd: int, status: socket.socket) -> None:
        self.pid, self.pidfd, self.status = pid, pidfd, status


class Outcome:
    """What a child has said so far; `feed` it each message of the status socket.

    Complete once `done`: `failure` is (index of the child step, errno, detail), or None if the program runs."""

    def __init__(self) -> None:
        self.done = False
        self.failure: tuple[int, int, str] | None = None
        self.console: int | None = None  # the pty's master
        self.sockets: list[int] = []

    def feed(self, message: bytes, descriptors: list[int]) -> bool:
        """Take one message with its descriptors, b"" being the end of file; whether that was the last."""
        if not message:
            self.done = True
            return True
        content = marshal.loads(message)
        if content == "console":
            self.console = descriptors[0]
        elif content == "sockets":
            self.sockets += descriptors
        else:
            self.failure = content
        return False

    def read(self, status: socket.socket) -> bool:
        """Feed everything that waits in the non-blocking `status`; whether it is complete."""
        while not self.done:
            try:
                self.feed(*fds.recv_fds(status, _LONGEST_MESSAGE))
            except BlockingIOError:
                break
            except ConnectionResetError:  # it ended without reading its release; what it said is still to come
                continue
        return self.done


def spawn(plan: dict[str, object], handed: dict[str, int], netlink: Netlink, spare: Spare | None = None) -> Spawned:
    """Have a child that obeys `plan`, the `spare` one or a new one, and do the parent's part. `handed`: the plan's
    descriptors by name, which stay the caller's; `netlink`: of the caller's network namespace. SpawnError says which step
    failed, unless it failed because the child had: then that is what the status socket tells."""
    if spare and spare.hand(plan, handed):
        pid, pidfd, ours = spare.pid, spare.pidfd, spare.status
    else:
        pid, pidfd, ours = _new_child(plan, handed, netlink)
    try:
        _parent_steps(steps_of(plan, "parent"), steps_parent.Parent(pid, handed, netlink))
    except SpawnError:
        if not _has_failed(ours):
            ours.close()
            _end(pid, pidfd)
            raise
    if ("wait-parent",) in steps_of(plan, "child"):
        _release(ours)
    ours.setblocking(False)
    return Spawned(pid, pidfd, ours)


def make_spare(netlink: Netlink) -> Spare:
    """A child for the next plan that it `fits`."""
    return Spare(_null_device(), netlink)


def _new_child(plan: dict[str, object], handed: dict[str, int], netlink: Netlink) -> tuple[int, int, socket.socket]:
    handed = {"null": _null_device(), **handed}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            pid, pidfd = _clone(plan, handed)
        except Exception as error:
            ours.close()
            raise SpawnError("clone", -1, error) from None
        if pid == 0:
            child.run(plan, handed, theirs, netlink)
    return pid, pidfd, ours


def _release(status: socket.socket) -> None:
    try:
        status.send(b"\0", socket.MSG_NOSIGNAL)
    except BrokenPipeError:  # it has ended already
        pass


def _has_failed(status: socket.socket) -> bool:
    """Has the child ended, and not without a word?"""
    poll = select.poll()
    poll.register(status, 0)  # POLLHUP needs no asking for
    return bool(poll.poll(0)) and bool(status.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))


_opened: list[int] = []


def _null_device() -> int:
    """One for all children, opened when the first one needs it."""
    if not _opened:
        _opened.append(null.open_sealed())
    return _opened[0]


def _clone(plan: dict[str, object], handed: dict[str, int]) -> tuple[int, int]:
    """`pidns` names the pid namespace to be born in: entering one works for children only, so this process steps over
    for the length of the call. `cgroup`, if there, names the version 2 group to be born in."""
    flags = number_of(plan, "clone")
    cgroup = handed.get(str(plan.get("cgroup", "")), -1)
    if not plan["pidns"]:
        return process.clone3(flags, cgroup)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.setns(handed[str(plan["pidns"])], process.CLONE_NEWPID)
        try:
            pid, pidfd = process.clone3(flags, cgroup)
        except OSError:
            process.setns(own, process.CLONE_NEWPID)
            raise
        if pid:
            process.setns(own, process.CLONE_NEWPID)
        return pid, pidfd
    finally:
        os.close(own)


def _end(pid: int, pidfd: int) -> None:
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(pidfd)


def _parent_steps(steps: list[tuple[object, ...]], parent: steps_parent.Parent) -> None:
    for index, (operation, *arguments) in enumerate(steps):
        try:
            steps_parent.STEPS[str(operation)](parent, *arguments)  # type: ignore[operator]
        except Exception as error:
            raise SpawnError("parent", index, error) from None
