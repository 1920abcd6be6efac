"""What became of a child whose system call filter may keep it from saying anything: a word in memory, shared beforehand.

The child stores to it, which takes no system call, and whoever waits for it reads it when the child's socket has ended: that
alone would mean success. The invariant: the word is 0 only from just before execve(2) until that has failed.
Source: seccomp(2), memfd_create(2), mmap(2).
"""

from __future__ import annotations

import os

from firkin.linux import libc
from firkin.linux.syscalls import call

ANNOUNCED = "last-words"  # the first word of the message
_ON_ITS_WAY = -1
_SIZE = 4096
_PROT_READ, _PROT_WRITE, _MAP_SHARED = 1, 2, 1

_word: libc.c_int | None = None  # a child's only


def prepare() -> int:
    """Make the memory, of which the descriptor is returned; `tell` reaches it from now on."""
    global _word
    fd = os.memfd_create(ANNOUNCED, os.MFD_CLOEXEC)
    os.truncate(fd, _SIZE)
    address = call("mmap", None, _SIZE, _PROT_READ | _PROT_WRITE, _MAP_SHARED, fd, 0)
    _word = libc.c_int.from_address(address)
    _word.value = _ON_ITS_WAY
    return fd


def tell(number: int) -> None:
    """The errno that ended it, or 0: if nothing more is heard, the program runs."""
    if _word is not None:
        _word.value = number


class Ear:
    """The other side: `fd` is the memory's, `about` what was to be done with it."""

    def __init__(self, fd: int, about: str) -> None:
        self._fd, self._about = fd, about

    def hear(self) -> tuple[int, int, str] | None:
        """(-1, errno, detail) of a failure, or None, once the child's socket has ended."""
        number = libc.c_int.from_buffer_copy(os.pread(self._fd, _SIZE, 0)).value
        os.close(self._fd)
        if number == _ON_ITS_WAY:
            return -1, 0, f"{self._about}: the process has ended before, perhaps by its own system call filter"
        return (-1, number, self._about) if number else None
