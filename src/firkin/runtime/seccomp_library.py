"""libseccomp as far as it is needed: its calls, its numbers.

Source: seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3), seccomp.h of version 2.5; seccomp(2) for the flags.
"""

from __future__ import annotations

import ctypes

from firkin.errors import Unavailable

ALLOW, ERRNO, TRACE, LOG = 0x7FFF0000, 0x00050000, 0x7FF00000, 0x7FFC0000
ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
ARCHITECTURES = {
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_ARM": 0x40000028,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
}
NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}  # by uname(2)'s word
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
BINARY_TREE = 2
UNKNOWN_CALL = -1


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


_loaded: list[ctypes.CDLL] = []


def library() -> ctypes.CDLL:
    """The loaded library; raises `Unavailable` naming the package to install."""
    if _loaded:
        return _loaded[0]
    try:
        loaded = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise Unavailable("compile seccomp profile: libseccomp.so.2 not found; apt-get install libseccomp2")
    context, word = ctypes.c_void_p, ctypes.c_uint32
    loaded.seccomp_version.restype = ctypes.POINTER(_Version)
    loaded.seccomp_init.restype, loaded.seccomp_init.argtypes = context, (word,)
    loaded.seccomp_release.argtypes = (context,)
    loaded.seccomp_arch_add.argtypes = (context, word)
    loaded.seccomp_attr_set.argtypes = (context, ctypes.c_int, word)
    loaded.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    loaded.seccomp_syscall_resolve_name_arch.argtypes = (word, ctypes.c_char_p)
    loaded.seccomp_rule_add_array.argtypes = (context, word, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison))
    loaded.seccomp_export_bpf.argtypes = (context, ctypes.c_int)
    _loaded.append(loaded)
    return loaded


def version() -> str:
    found = library().seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"
