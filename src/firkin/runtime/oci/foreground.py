"""A process in the foreground: its output and input carried, signals passed on, its exit code this command's.

Source: runc signals.go, signal(7), pty(7).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import select

from firkin.linux import process
from firkin.runtime.oci import late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.runtime.oci.notify import Notices

_SIGCHLD, _SIGWINCH = 17, 28
# Not to be caught, of this process's own making, or about this process's own terminal.
_NOT_PASSED_ON = {4, 5, 7, 8, 9, 11, 13, 19, 21, 22, 23, 25, 31, 32, 33}
_BLOCK = 65536
_DRAIN = 100  # ms in which what was written last must arrive


class Foreground:
    """Make it before there is a process, so that no signal is lost; `wait` then returns the exit code."""

    def __init__(self, *, subreaper: bool) -> None:
        if subreaper:
            process.set_child_subreaper()
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in range(1, 32):
            if number not in _NOT_PASSED_ON:
                _signal.signal(number, _nothing)
        self._terminal: Any = None
        self._status: int | None = None

    def take_terminal(self, master: int) -> list[tuple[int, int]]:
        """Connect the process's own terminal with the command's; the relays that takes."""
        self._terminal = late.module("oci.terminal").Terminal(master)
        return [(0, master), (master, 1)]

    def wait(self, pid: int, relays: list[tuple[int, int]], notices: Notices | None = None) -> int:
        """Until the process `pid` has ended and its output is through. 128 + n if signal n ended it."""
        routes = dict(relays)
        noticed = [notices.fileno()] if notices else []
        poll = select.poll()
        for fd in (self._woken, *routes, *noticed):
            poll.register(fd, select.POLLIN)
        try:
            self._reap(pid)  # it may have ended before anybody listened
            while self._status is None:
                for fd, _ in poll.poll():
                    if fd == self._woken:
                        self._signals(pid)
                    elif notices and fd in noticed:
                        notices.pass_on(os.getpid())  # which is what systemd started, and ends as the process does
                    elif not _copy(fd, routes[fd]):
                        _close_route(poll, routes, fd)
            while any(not _copy(fd, routes[fd]) and _close_route(poll, routes, fd) for fd in self._ready(poll, routes)):
                pass
        finally:
            if self._terminal:
                self._terminal.restore()
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else 128 - code

    def _ready(self, poll: select.poll, routes: dict[int, int]) -> list[int]:
        return [fd for fd, _ in poll.poll(_DRAIN) if fd in routes and fd != 0] if len(routes) > (0 in routes) else []

    def _signals(self, pid: int) -> None:
        for number in os.read(self._woken, _BLOCK):
            if number == _SIGCHLD:
                self._reap(pid)
            elif number == _SIGWINCH and self._terminal:
                self._terminal.resize()
            elif self._status is None:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass

    def _reap(self, pid: int) -> None:
        """Whatever has ended: with a subreaper, that may be more than its own children."""
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not ended:
                return
            if ended == pid:
                self._status = status


def _nothing(number: int, frame: object) -> None:
    """The wakeup descriptor tells."""


def _copy(source: int, target: int) -> bool:
    """One block; False at the end, which for a terminal's master is EIO."""
    try:
        data = os.read(source, _BLOCK)
        while data:
            done = os.write(target, data)
            if done == len(data):
                return True
            data = data[done:]
    except OSError:
        pass
    return False


def _close_route(poll: select.poll, routes: dict[int, int], source: int) -> bool:
    poll.unregister(source)
    target = routes.pop(source)
    if source == 0 and target not in routes:  # a pipe to the process: it is to see the end
        os.close(target)
    return True
