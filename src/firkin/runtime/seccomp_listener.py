"""Handing a seccomp listener to the agent that decides its system calls, between a child and whoever launched it.

The child cannot reach the agent's socket any more, and after the filter is installed any call of its own may wait for
the agent. So it announces beforehand which number the listener's descriptor will have; the launcher takes a duplicate
as soon as it is there, sends it to the agent and lets the child go on. The child's only call meanwhile is recvfrom(2).

Source: runtime-spec config-linux.md "The Container Process State"; seccomp_unotify(2), pidfd_getfd(2).
"""

from __future__ import annotations

import _socket
import errno
import marshal
import os
import sys
import time

from firkin.linux import process, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.state import State

ANNOUNCED = "seccomp"  # the first word of the message
_DONE = b"\0"
_LONGEST_ANSWER = 4096
_PATIENCE = 5.0  # seconds for the child to install its filter, and for the agent to take a connection
_PAUSE = 0.0002


def install(state: State, program: bytes, flags: int, agent: str, report: list[str]) -> None:
    """Install the filter; returns when the agent has the listener. `report`: the text to send it, in the parts between
    which the process's id belongs."""
    number = os.dup(0)  # the lowest that is free, which the listener will take
    pidfd = process.pidfd_open(os.getpid())
    os.close(number)
    state.send((ANNOUNCED, number, agent, report), [pidfd])
    os.close(pidfd)
    seccomp.install(program, flags)
    answer = state.status.recv(_LONGEST_ANSWER)
    if not answer:
        os._exit(1)
    if answer != _DONE:
        error, detail = marshal.loads(answer)
        raise OSError(error, os.strerror(error), detail)


class Handover:
    """The launcher's part, for one announcement."""

    def __init__(self, number: int, agent: str, report: list[str], pidfd: int) -> None:
        self._number, self._agent, self._report, self._pidfd = number, agent, report, pidfd

    def carry_out(self, status: _socket.socket) -> tuple[int, str] | None:
        """Tell the child how it went; errno and detail if it failed."""
        try:
            self._deliver()
        except OSError as error:
            failure = error.errno or errno.EIO, f"hand seccomp listener to {self._agent}"
            _answer(status, marshal.dumps(failure))
            return failure
        finally:
            os.close(self._pidfd)
        _answer(status, _DONE)
        return None

    def _deliver(self) -> None:
        listener = self._take()
        agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            agent.settimeout(_PATIENCE)
            agent.connect(self._agent)
            data = str(_pid_of(self._pidfd)).join(self._report).encode()
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, listener.to_bytes(4, sys.byteorder))
            sent = agent.sendmsg([data], [rights], _socket.MSG_NOSIGNAL)
            if sent < len(data):  # the agent may have heard enough, and left
                agent.sendall(data[sent:], _socket.MSG_NOSIGNAL)
        finally:
            agent.close()
            os.close(listener)

    def _take(self) -> int:
        """A duplicate of the listener, once it is there."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return process.pidfd_getfd(self._pidfd, self._number)
            except OSError as error:
                if error.errno != errno.EBADF or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)


def _pid_of(pidfd: int) -> int:
    """As this process's pid namespace numbers it."""
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fd, 4096).splitlines()
    finally:
        os.close(fd)
    return next(int(line[4:]) for line in lines if line.startswith(b"Pid:"))


def _answer(status: _socket.socket, data: bytes) -> None:
    try:
        status.send(data, _socket.MSG_NOSIGNAL)
    except OSError:  # it has ended already
        pass


STEPS = {"seccomp-notify": install}
