"""Device access for cgroup version 2: a small BPF program instead of the devices controller.

The rules become a chain of compare-and-jump blocks, the last rule first, so that the last match decides as in
version 1's allow/deny list; no match denies. The kernel calls the program with `struct bpf_cgroup_dev_ctx`
{access_type (type | access << 16), major, minor} and reads 1 as "allow".

Source: bpf(2), Linux Documentation/admin-guide/cgroup-v2.rst "Device controller", include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import os
import struct

from firkin.linux import libc, syscalls

_PROG_LOAD, _PROG_ATTACH = 5, 8
_TYPE_CGROUP_DEVICE, ATTACH_CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2
DEVICE = {"b": 1, "c": 2}
EVERYTHING = ("a", -1, -1, "rwm")
ACCESS = {"m": 1, "r": 2, "w": 4}

# Opcodes, as BPF_CLASS | BPF_SIZE/OP | BPF_SRC.
_LOAD_WORD = 0x61
MOV_IMM, _MOV_REG = 0xB7, 0xBF
AND_IMM, _RSH_IMM = 0x54, 0x74  # 32-bit
JNE_IMM, _JNE_REG = 0x55, 0x5D
EXIT = 0x95
TYPE, _ASKED, MAJOR, MINOR = 2, 3, 4, 5  # registers, as the prologue fills them: device type, access asked for, numbers

Rule = tuple[bool, str, int, int, str]  # (allow, "a" | "b" | "c", major, minor, of "rwm"), -1 meaning any


def op(code: int, registers: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """`registers`: source << 4 | destination."""
    return struct.pack("<BBhi", code, registers, offset, value)


_CONTEXT, _SCRATCH = 1, 1  # the context's register is free once all has been loaded
PROLOGUE = b"".join((
    op(_LOAD_WORD, _CONTEXT << 4 | TYPE, 0), op(_MOV_REG, TYPE << 4 | _ASKED),
    op(AND_IMM, TYPE, value=0xFFFF), op(_RSH_IMM, _ASKED, value=16),
    op(_LOAD_WORD, _CONTEXT << 4 | MAJOR, 4), op(_LOAD_WORD, _CONTEXT << 4 | MINOR, 8),
))  # fmt: skip


def block(allow: bool, kind: str, major: int, minor: int, access: str) -> bytes:
    """Instructions that return `allow` when the rule matches and fall through when it does not."""
    tests: list[bytes] = []  # each ends in a jump whose offset is patched below
    if kind != "a":
        tests.append(op(JNE_IMM, TYPE, value=DEVICE[kind]))
    mask = sum(ACCESS[letter] for letter in set(access))
    if mask != 7:
        # Matches only when everything asked for is within the rule's access.
        within = op(_MOV_REG, _ASKED << 4 | _SCRATCH) + op(AND_IMM, _SCRATCH, value=mask)
        tests.append(within + op(_JNE_REG, _ASKED << 4 | _SCRATCH))
    if major >= 0:
        tests.append(op(JNE_IMM, MAJOR, value=major))
    if minor >= 0:
        tests.append(op(JNE_IMM, MINOR, value=minor))
    verdict = op(MOV_IMM, 0, value=int(allow)) + op(EXIT)
    code = verdict
    for test in reversed(tests):
        jump = bytearray(test)
        struct.pack_into("<h", jump, len(jump) - 6, len(code) // 8)
        code = bytes(jump) + code
    return code


def device_program(rules: list[Rule]) -> bytes:
    """The program for `rules`; later ones win."""
    code = PROLOGUE
    for rule in reversed(rules):
        code += block(*rule)
        if rule[1:] == EVERYTHING:
            return code  # the verifier refuses code that cannot be reached
    return code + block(False, *EVERYTHING)


def bpf(command: int, attributes: bytearray) -> int:
    """bpf(2); what the kernel answers in the attributes is there afterwards."""
    memory = libc.create_string_buffer(bytes(attributes))
    result = syscalls.call("bpf", command, memory, len(attributes))
    attributes[:] = memory.raw
    return result


def attach_device_program(directory: str, rules: list[Rule]) -> None:
    """Load the program for `rules` and attach it to the cgroup at `directory`; it lives as long as the group."""
    program = libc.create_string_buffer(code := device_program(rules))
    licence = libc.create_string_buffer(b"Apache-2.0\0")
    load = struct.pack(
        "<IIQQIIQII", _TYPE_CGROUP_DEVICE, len(code) // 8, libc.addressof(program), libc.addressof(licence), 0, 0, 0, 0, 0
    )
    program_fd = bpf(_PROG_LOAD, bytearray(load))
    try:
        group_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            attach = struct.pack("<IIII", group_fd, program_fd, ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
            bpf(_PROG_ATTACH, bytearray(attach))
        finally:
            os.close(group_fd)
    finally:
        os.close(program_fd)
