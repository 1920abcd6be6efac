"""Installing a finished seccomp filter on the calling thread. Compiling one is somebody else's work.

Without no-new-privileges the caller needs CAP_SYS_ADMIN in its user namespace. Source: seccomp(2).
"""

from __future__ import annotations

import ctypes
import struct

from firkin.linux.syscalls import call

_SET_MODE_FILTER = 1
_INSTRUCTION_SIZE = 8  # struct sock_filter


def install(program: bytes, flags: int) -> None:
    """`program` is an array of struct sock_filter, `flags` are SECCOMP_FILTER_FLAG_*."""
    code = ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value
    call("seccomp", _SET_MODE_FILTER, flags, struct.pack("@HP", len(program) // _INSTRUCTION_SIZE, code))
