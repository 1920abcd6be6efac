"""Starting a child from a plan without waiting for it: clone, the parent's steps, and what the child says afterwards.

The invariant: when `spawn` returns, the child runs on its own; when it raises, there is no child.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # without its enumerations
import _socket
import errno
import marshal
import os
import select

from firkin.linux import fds, null, process
from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink
from firkin.runtime import child, elsewhere, last_words, seccomp_listener, stepping_stone, steps_parent
from firkin.runtime.spare import Spare
from firkin.runtime.state import explain, number_of, steps_of

_LONGEST_MESSAGE = 1 << 16
_LAST_BREATH = 1000  # ms


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

    def follow(self, outcome: Outcome) -> bool:
        """Be about the process that the child has become, if it said so (step "reborn"); whether it did. The old one has
        ended or is about to: it is the caller's to reap."""
        if outcome.process is None:
            return False
        os.close(self.pidfd)
        (self.pid, self.pidfd), outcome.process = outcome.process, None
        return True


class Outcome:
    """What a child has said so far; `feed` it each message of the status socket.

    Complete once `done`: `failure` is (index of the child step, errno, detail), or None if the program runs."""

    def __init__(self) -> None:
        self.done = False
        self.failure: tuple[int, int, str] | None = None
        self.console: int | None = None  # the pty's master
        self.sockets: list[int] = []
        self.process: tuple[int, int] | None = None  # pid and pidfd of what the child has become, see `Spawned.follow`
        self._ear: last_words.Ear | None = None
        self._handover: seccomp_listener.Handover | None = None
        self.waits_for = ""  # "hooks" or "start": what the child has reached and waits for

    def feed(self, message: bytes, descriptors: list[int]) -> bool:
        """Take one message with its descriptors, b"" being the end of file; whether that was the last."""
        if not message:
            self.done = True
            heard = self._ear.hear() if self._ear else None
            self.failure = self.failure or heard
            return True
        content = marshal.loads(message)
        if content == "console":
            self.console = descriptors[0]
        elif content == "sockets":
            self.sockets += descriptors
        elif isinstance(content, str):
            self.waits_for = content
        elif content[0] == seccomp_listener.ANNOUNCED:
            number, agent, report = content[1:]
            self._handover = seccomp_listener.Handover(number, agent, report, descriptors[0])
        elif content[0] == last_words.ANNOUNCED:
            self._ear = last_words.Ear(descriptors[0], content[1])
        elif content[0] == "reborn":
            self.process = content[1], descriptors[0]
        else:
            self.failure = content
        return False

    def receive(self, status: _socket.socket) -> bool:
        """Feed the next message of `status`, and do what the child waits for because of it; whether that was the last."""
        last = self.feed(*fds.recv_fds(status, _LONGEST_MESSAGE))
        self._hand_over(status)
        return last

    def read(self, status: _socket.socket) -> bool:
        """Feed everything that waits in the non-blocking `status`; whether it is complete."""
        while not self.done:
            try:
                self.receive(status)
            except BlockingIOError:
                break
            except ConnectionResetError:  # it ended without reading its release; what it said is still to come
                continue
        return self.done

    def _hand_over(self, status: _socket.socket) -> None:
        """Serve a child that waits for its seccomp listener to be delivered. If that fails it may be unable to say so."""
        if self._handover:
            failure, self._handover = self._handover.carry_out(status), None
            self.failure = (-1, *failure) if failure else self.failure


def spawn(plan: dict[str, object], handed: dict[str, int], netlink: Netlink, spare: Spare | None = None) -> Spawned:
    """Have a child that obeys `plan`, the `spare` one or a new one, and do the parent's part. `handed`: the plan's
    descriptors by name, which stay the caller's; `netlink`: of the caller's network namespace. SpawnError says which step
    failed, unless it failed because the child had: then that is what the status socket tells."""
    if spare and spare.hand(plan, handed):
        pid, pidfd, ours = spare.pid, spare.pidfd, spare.status
    else:
        pid, pidfd, ours = _new_child(plan, handed, netlink)
    parent = steps_parent.Parent(pid, handed, netlink)
    try:
        _parent_steps(steps_of(plan, "parent"), parent)
        if ("wait-parent",) in steps_of(plan, "child"):
            _release(ours, parent.made)
    except SpawnError as error:
        if not _has_failed(ours, _LAST_BREATH if error.errno == errno.ESRCH else 0):
            ours.close()
            _end(pid, pidfd)
            raise
    finally:
        parent.close()
    ours.setblocking(False)
    return Spawned(pid, pidfd, ours)


def make_spare(netlink: Netlink, kinds: int) -> Spare:
    """A child for the next plan that wants these namespaces."""
    return Spare(_null_device(), netlink, kinds)


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


def _release(status: socket.socket, made: dict[str, int]) -> None:
    """Let the child go on, with what was made for it."""
    names = list(made)
    try:
        for start in range(0, len(names), fds.MOST_AT_ONCE):
            some = names[start : start + fds.MOST_AT_ONCE]
            fds.send_fds(status, marshal.dumps(some), [made[name] for name in some])
        status.send(b"\0", socket.MSG_NOSIGNAL)
    except BrokenPipeError:  # it has ended already
        pass


def _has_failed(status: socket.socket, patience: int) -> bool:
    """Has the child ended, and not without a word? An ending process gives up its namespaces some moments before its
    descriptors: where they were missing, `patience` (ms) is needed."""
    poll = select.poll()
    poll.register(status, 0)  # POLLHUP needs no asking for
    return bool(poll.poll(patience)) and bool(status.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))


_opened: list[int] = []


def _null_device() -> int:
    """One for all children, opened when the first one needs it."""
    if not _opened:
        _opened.append(null.open_sealed())
    return _opened[0]


def _clone(plan: dict[str, object], handed: dict[str, int]) -> tuple[int, int]:
    """`pidns` names the pid namespace to be born in: entering one works for children only, so this process steps over
    for the length of the call. `timens`, if there, are the offsets of a new time namespace, which is entered the same
    way. `userns` names a user namespace to be born in, which is to own the new ones. `cgroup`, if there, names the version 2
    group to be born in."""
    flags = number_of(plan, "clone")
    cgroup = handed.get(str(plan.get("cgroup", "")), -1)
    pidns, offsets = str(plan["pidns"]), str(plan.get("timens", ""))
    users = handed[str(plan["userns"])] if plan.get("userns") else -1
    if users < 0 and not pidns and not offsets:
        return process.clone3(flags, cgroup)
    joined = handed[pidns] if pidns else -1
    flags &= ~process.CLONE_NEWTIME if offsets else -1
    stone = users >= 0 or (joined >= 0 and process.in_user_namespace())
    away = elsewhere.Elsewhere()
    try:
        away.enter(-1 if stone else joined, offsets)
        pid, pidfd = stepping_stone.clone(flags, users, joined, cgroup) if stone else process.clone3(flags, cgroup)
    except OSError:
        away.leave()
        raise
    if pid:  # the child stays
        away.leave()
    return pid, pidfd


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
