"""Signals as bytes on a pipe, so that one poll(2) loop sees them beside its sockets.

`signal` itself costs an import of `enum`; the C module under it does the work (signal(7), and Python's
`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

WINDOW_CHANGED = int(_signal.SIGWINCH)

# Not caught: impossible (KILL, STOP), our own business (CHLD, PIPE, URG), or a fault of this very process.
_LEFT_ALONE = {
    int(number)
    for number in (
        _signal.SIGKILL,
        _signal.SIGSTOP,
        _signal.SIGCHLD,
        _signal.SIGPIPE,
        _signal.SIGURG,
        _signal.SIGSEGV,
        _signal.SIGBUS,
        _signal.SIGFPE,
        _signal.SIGILL,
        _signal.SIGTRAP,
        _signal.SIGABRT,
    )
}
ALL = [number for number in _signal.valid_signals() if number not in _LEFT_ALONE]


class Caught:
    """Catches `numbers` from now on; `fd` is readable when one came, `read` says which."""

    def __init__(self, numbers: list[int]) -> None:
        self.fd, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in numbers:
            _signal.signal(number, _ignore)

    def read(self) -> bytes:
        """The numbers of the signals that came, one byte each."""
        return os.read(self.fd, 512)


def _ignore(number: int, frame: object) -> None:
    """Python writes the number to the pipe; there is nothing left to do."""


def name(number: int) -> str:
    """`INT` for 2, as the API's `kill` wants it."""
    import signal

    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)  # a real-time signal without a name of its own
