"""The size of the user's terminal window."""

from __future__ import annotations

import os


def size(fd: int = 1) -> tuple[int, int]:
    """(height, width) in characters, (0, 0) when `fd` is no terminal (ioctl_tty(2), TIOCGWINSZ)."""
    try:
        columns, lines = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return lines, columns
