"""The command's own terminal while a process with a terminal runs in the foreground: raw, and its size passed on.

Source: termios(3) (cfmakeraw), ioctl_tty(2).
"""

from __future__ import annotations

import os
import termios

from firkin.linux import tty


class Terminal:
    """`master` is the process's."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._before = _make_raw() if os.isatty(0) else None
        self.resize()

    def resize(self) -> None:
        try:
            size = os.get_terminal_size(0)
        except OSError:
            return
        tty.set_size(self._master, size.lines, size.columns)

    def restore(self) -> None:
        if self._before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._before)
            self._before = None


def _make_raw() -> list[int | list[bytes | int]]:
    """What it was before. Newlines in output are left alone: the process's terminal has made them what they should be."""
    before = termios.tcgetattr(0)
    raw = termios.tcgetattr(0)
    raw[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR | termios.IGNCR | termios.ICRNL
        | termios.IXON
    )  # fmt: skip
    raw[1] &= ~termios.OPOST
    raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(0, termios.TCSANOW, raw)
    return before
