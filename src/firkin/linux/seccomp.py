"""Installing a finished seccomp filter on the calling thread. Compiling one is somebody else's work.

Without no-new-privileges the caller needs CAP_SYS_ADMIN in its user namespace. Source: seccomp(2).
"""

from __future__ import annotations

import struct

from firkin.linux import libc
from firkin.linux.syscalls import call

_SET_MODE_FILTER = 1
_INSTRUCTION_SIZE = 8  # struct sock_filter


NEW_LISTENER, TSYNC, TSYNC_ESRCH = 8, 1, 16  # SECCOMP_FILTER_FLAG_*


def install(program: bytes, flags: int) -> int:
    """`program` is an array of struct sock_filter, `flags` are SECCOMP_FILTER_FLAG_*. With NEW_LISTENER it returns a
    descriptor on which another process is asked about system calls (seccomp_unotify(2)); else 0."""
    code = libc.create_string_buffer(program)
    fprog = struct.pack("@HP", len(program) // _INSTRUCTION_SIZE, libc.addressof(code))
    return call("seccomp", _SET_MODE_FILTER, flags, fprog)
