"""What libseccomp's own program cannot express: system calls newer than libseccomp.

The filter is preceded by a few instructions of ours, for two reasons. A call that the profile names but the installed
libseccomp does not know is decided here, by number. And a call newer than every call the profile names gets ENOSYS
instead of the profile's EPERM, so that programs fall back to an older one, as they would on a kernel without it.

Since Linux 5.1 a new call has the same number on every architecture. BPF instructions: seccomp(2), linux/filter.h.
"""

from __future__ import annotations

import errno
import struct

_SINCE_451 = """
    cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr
    lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr
    file_setattr listns
"""
NUMBERS = {name: number for number, name in enumerate(_SINCE_451.split(), start=451)}
NATIVE_NUMBERS = {"SCMP_ARCH_X86_64": {"uretprobe": 335, "uprobe": 336}}  # the exception

# Architecture -> what seccomp_data.arch holds. An x32 call has x86_64's, and bit 30 of its number set; it is left to
# libseccomp, as are the architectures not listed.
AUDIT = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
}
_X32_BIT = 1 << 30
PRIVATE_CALLS = 0x0F0000  # of ARM's own (set_tls ...) begin here

_LOAD, _JUMP, _EQUAL, _GREATER, _AT_LEAST, _BITS, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ENOSYS = 0x0005_0000 | errno.ENOSYS
_TO_FILTER = -1  # stands for the distance to libseccomp's program until that is known

Instruction = tuple[int, int, int, int]  # code, skip if true, skip if false, operand


def number_of(name: str, architecture: str) -> int:
    """The number of a call that libseccomp may not know; -1 if we do not either."""
    return NATIVE_NUMBERS.get(architecture, {}).get(name) or NUMBERS.get(name, -1)


def prologue(decided: dict[str, dict[int, int]], newest: dict[str, int]) -> bytes:
    """Instructions to go before libseccomp's. `decided`: architecture -> call number -> action; `newest`: architecture ->
    the highest call number the profile knows, absent if later calls are the filter's business."""
    sections = {
        arch: _section(arch, decided.get(arch, {}), newest.get(arch)) for arch in {**decided, **newest} if arch in AUDIT
    }
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE)]
    distance = 2 * len(sections) + 1
    for architecture, section in sections.items():
        # Conditional jumps reach 255 instructions; an unconditional one after them goes anywhere.
        distance -= 2
        program += [(_EQUAL, 0, 1, AUDIT[architecture]), (_JUMP, 0, 0, distance)]
        distance += len(section)
    program.append((_JUMP, 0, 0, _TO_FILTER))
    for section in sections.values():
        program += section
    return b"".join(
        struct.pack("=HBBI", code, yes, no, len(program) - place - 1 if operand == _TO_FILTER else operand)
        for place, (code, yes, no, operand) in enumerate(program)
    )


def _section(architecture: str, decided: dict[int, int], newest: int | None) -> list[Instruction]:
    to_filter = (_JUMP, 0, 0, _TO_FILTER)
    lowest = min([*decided, *([] if newest is None else [newest + 1])])
    section: list[Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    if architecture == "SCMP_ARCH_X86_64":
        section += [(_BITS, 0, 1, _X32_BIT), to_filter]
    if architecture == "SCMP_ARCH_ARM":
        section += [(_AT_LEAST, 0, 1, PRIVATE_CALLS), to_filter]
    section += [(_AT_LEAST, 1, 0, lowest), to_filter]  # the common case leaves here
    for number, action in sorted(decided.items()):
        section += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]
    if newest is not None:
        section += [(_GREATER, 0, 1, newest), (_RETURN, 0, 0, _ENOSYS)]
    return [*section, to_filter]
