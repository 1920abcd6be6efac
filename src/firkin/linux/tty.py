"""Pseudoterminals.

The invariant: a pair comes from one given devpts instance, and the slave's descriptor from its master, never from a path.
Source: pty(7), ioctl_tty(2), ioctl_console(2), devpts in mount(8).
"""

from __future__ import annotations

import errno
import os
import struct

from firkin.linux import fs, libc
from firkin.linux.syscalls import call

_TCGETS, _TCSETS = 0x5401, 0x5402
_TERMIOS = struct.Struct("=4IB19s")  # input, output, control and local modes, line discipline, characters
_ONLCR = 4
_TIOCSCTTY, _TIOCSWINSZ, _TIOCSPTLCK, _TIOCGPTPEER = 0x540E, 0x5414, 0x40045431, 0x5441
_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


def open_pty(root: int) -> tuple[int, int]:
    """(master, slave) of a new pair in the devpts that is mounted on dev/pts below the directory `root`."""
    master = fs.in_root(root, "dev/pts/ptmx", _FLAGS)
    try:
        if fs.filesystem_type(master) != fs.DEVPTS_SUPER_MAGIC:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY), "dev/pts/ptmx")
        call("ioctl", master, _TIOCSPTLCK, struct.pack("=i", 0))
        return master, call("ioctl", master, _TIOCGPTPEER, _FLAGS)
    except OSError:
        os.close(master)
        raise


def set_size(fd: int, rows: int, columns: int) -> None:
    call("ioctl", fd, _TIOCSWINSZ, struct.pack("=HHHH", rows, columns, 0, 0))


def leave_newlines(slave: int) -> None:
    """Output passes without a carriage return being added to each; termios(3)."""
    settings = libc.create_string_buffer(_TERMIOS.size)
    call("ioctl", slave, _TCGETS, settings)
    reading, writing, *others = _TERMIOS.unpack(settings.raw)
    call("ioctl", slave, _TCSETS, _TERMIOS.pack(reading, writing & ~_ONLCR, *others))


def control(slave: int) -> None:
    """Start a session with this terminal as its controlling one, and as standard input, output and error."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    call("ioctl", slave, _TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
