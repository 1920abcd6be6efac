"""The command's own terminal while a process with a terminal runs in the foreground: raw, and its size passed on.

Newlines are left to it, as they are in runc: where output goes to a file, no carriage returns are to be in it. The process's
terminal adds none (`Launch.plain_newlines`). Source: termios(3) (cfmakeraw), ioctl_tty(2), runc tty.go.
"""

from __future__ import annotations

import os
import termios

from firkin.linux import tty


class Terminal:
    """`master` is the process's. The command's own is whichever of its streams is one, if any."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._own = next((fd for fd in (2, 1, 0) if os.isatty(fd)), -1)
        self._before = _make_raw(self._own) if self._own >= 0 else None
        self.resize()

    def resize(self) -> None:
        if self._own >= 0:
            size = os.get_terminal_size(self._own)
            tty.set_size(self._master, size.lines, size.columns)

    def restore(self) -> None:
        if self._before is not None:
            termios.tcsetattr(self._own, termios.TCSADRAIN, self._before)
            self._before = None


def _make_raw(fd: int) -> list[int | list[bytes | int]]:
    """What it was before."""
    before = termios.tcgetattr(fd)
    raw = termios.tcgetattr(fd)
    raw[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL
        | termios.IXON
    )  # fmt: skip
    raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(fd, termios.TCSANOW, raw)
    return before
