"""libseccomp as far as it is needed: its calls, its numbers.

Source: seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3), seccomp.h of version 2.5; seccomp(2) for the flags.
"""

from __future__ import annotations

import ctypes

from firkin.errors import Unavailable

ALLOW, ERRNO, TRACE, LOG, NOTIFY = 0x7FFF0000, 0x00050000, 0x7FF00000, 0x7FFC0000, 0x7FC00000
ACTIONS = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_NOTIFY": NOTIFY,
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
    "SCMP_ARCH_LOONGARCH64": 0xC0000102,
    "SCMP_ARCH_M68K": 0x00000004,
    "SCMP_ARCH_MIPS": 0x00000008,
    "SCMP_ARCH_MIPS64": 0x80000008,
    "SCMP_ARCH_MIPS64N32": 0xA0000008,
    "SCMP_ARCH_MIPSEL": 0x40000008,
    "SCMP_ARCH_MIPSEL64": 0xC0000008,
    "SCMP_ARCH_MIPSEL64N32": 0xE0000008,
    "SCMP_ARCH_PPC": 0x00000014,
    "SCMP_ARCH_PPC64": 0x80000015,
    "SCMP_ARCH_PPC64LE": 0xC0000015,
    "SCMP_ARCH_S390": 0x00000016,
    "SCMP_ARCH_S390X": 0x80000016,
    "SCMP_ARCH_SH": 0x4000002A,
    "SCMP_ARCH_SHEB": 0x0000002A,
    "SCMP_ARCH_PARISC": 0x0000000F,
    "SCMP_ARCH_PARISC64": 0x8000000F,
    "SCMP_ARCH_RISCV64": 0xC00000F3,
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


def name_of(architecture: int, number: int) -> str:
    """Of a system call; "" if it has none."""
    loaded = library()
    loaded.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
    loaded.seccomp_syscall_resolve_num_arch.argtypes = (ctypes.c_uint32, ctypes.c_int)
    found = loaded.seccomp_syscall_resolve_num_arch(architecture, number)
    if not found:
        return ""
    try:
        return ctypes.string_at(found).decode()
    finally:
        _free(found)


def _free(address: int) -> None:
    free = ctypes.CDLL(None).free
    free.argtypes = (ctypes.c_void_p,)
    free(address)


def version() -> str:
    found = library().seccomp_version().contents
    return f"{found.major}.{found.minor}.{found.micro}"
