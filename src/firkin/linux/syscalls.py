"""System calls by name, for those that Python's `os` does not wrap.

The invariant: a failed call raises OSError with the kernel's errno, and what it was about as `filename`.
Source: syscalls(2), arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import os

from firkin.linux import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import Array, c_char

# name: (x86_64, aarch64)
_TABLE = {
    "bpf": (321, 280),
    "capget": (125, 90),
    "capset": (126, 91),
    "clone3": (435, 435),
    "close_range": (436, 436),
    "flock": (73, 32),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "fstatfs": (138, 44),
    "inotify_add_watch": (254, 27),
    "inotify_init1": (294, 26),
    "ioctl": (16, 29),
    "ioprio_set": (251, 30),
    "keyctl": (250, 219),
    "mmap": (9, 222),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "openat2": (437, 437),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "sched_setattr": (314, 274),
    "seccomp": (317, 277),
    "set_mempolicy": (238, 237),
    "setdomainname": (171, 162),
    "setfsgid": (123, 152),
    "setfsuid": (122, 151),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "tee": (276, 77),
    "umount2": (166, 39),
    "unshare": (272, 97),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}

_column = _COLUMN[os.uname().machine]
NUMBERS = {name: row[_column] for name, row in _TABLE.items()}

# syscall(2) for each number of arguments.
_ARITIES = [(libc.c_void_p,) * (1 + arity) for arity in range(7)]
_BY_ARITY = [libc.function("syscall", *arguments) for arguments in _ARITIES]
# Clone must keep the interpreter lock: the child wakes up alone, and nobody would hand the lock back to it.
_BY_ARITY_LOCKED = [libc.locked_function("syscall", *arguments) for arguments in _ARITIES]


def call(name: str, *arguments: int | bytes | Array[c_char] | None, what: str = "") -> int:
    """Call it; OSError (filename: `what`, else the call's name) when the kernel says -1. Buffers outlive the call only."""
    result: int = _BY_ARITY[len(arguments)](NUMBERS[name], *arguments)
    if result == -1:
        raise_errno(what or name)
    return result


def call_locked(name: str, *arguments: int | bytes | Array[c_char] | None) -> int:
    """`call` without letting go of the interpreter lock."""
    result: int = _BY_ARITY_LOCKED[len(arguments)](NUMBERS[name], *arguments)
    if result == -1:
        raise_errno(name)
    return result


def raise_errno(what: str) -> None:
    number = libc.get_errno()
    raise OSError(number, os.strerror(number), what)


def cstring(text: str | bytes) -> bytes:
    """`text` as the kernel reads it. libc.c_void_p adds the final NUL; one inside would silently cut the string."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if 0 in data:
        raise ValueError(f"embedded NUL in {text!r}")
    return data
