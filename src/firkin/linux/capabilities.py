"""Capabilities of the calling thread, as 64-bit masks (bit n is capability n of linux/capability.h).

Source: capabilities(7), capget(2), prctl(2) PR_CAPBSET_DROP, PR_CAP_AMBIENT and PR_SET_KEEPCAPS.
"""

from __future__ import annotations

import errno
import struct

from firkin.linux import libc
from firkin.linux.syscalls import call, raise_errno

_VERSION_3 = struct.pack("=Ii", 0x20080522, 0)  # and pid 0: this thread
_DATA = struct.Struct("=6I")  # effective, permitted, inheritable; low words, then high
_data = libc.create_string_buffer(_DATA.size)  # made once: making it takes longer than the call
_LOW = 0xFFFFFFFF
_PR_SET_KEEPCAPS, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT = 8, 23, 24, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4

# Without detours: limiting the bounding set takes dozens of calls.
_prctl = libc.function("prctl", libc.c_int, *[libc.c_void_p] * 4)


def get() -> tuple[int, int, int]:
    """(effective, permitted, inheritable)"""
    call("capget", _VERSION_3, _data)
    words = _DATA.unpack(_data.raw)
    return words[0] | words[3] << 32, words[1] | words[4] << 32, words[2] | words[5] << 32


def set_(effective: int, permitted: int, inheritable: int) -> None:
    masks = (effective, permitted, inheritable)
    call("capset", _VERSION_3, _DATA.pack(*(mask & _LOW for mask in masks), *(mask >> 32 for mask in masks)))


def limit_bounding(keep: int) -> None:
    """Take all but `keep` out of the bounding set, for good. EINVAL tells where the kernel's capabilities end."""
    for number in range(64):
        if keep >> number & 1 or _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
            continue
        if libc.get_errno() == errno.EINVAL:
            return
        raise_errno("prctl")


def in_bounding(number: int) -> bool:
    return call("prctl", _PR_CAPBSET_READ, number, 0, 0, 0) == 1


def keep_across_setuid(on: bool) -> None:
    """On: leaving user 0 empties the effective set only, not the permitted one."""
    call("prctl", _PR_SET_KEEPCAPS, int(on), 0, 0, 0)


def set_ambient(mask: int) -> None:
    """Exactly these survive the execve of an ordinary program; each must be permitted and inheritable."""
    call("prctl", _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(mask.bit_length()):
        if mask >> number & 1:
            call("prctl", _PR_CAP_AMBIENT, _AMBIENT_RAISE, number, 0, 0)
