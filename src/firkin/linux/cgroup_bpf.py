"""Device access for cgroup version 2: a small BPF program instead of the devices controller.

The rules become a chain of compare-and-jump blocks, the last rule first, so that the last match decides as in
version 1's allow/deny list; no match denies. The kernel calls the program with `struct bpf_cgroup_dev_ctx`
{access_type (type | access << 16), major, minor} and reads 1 as "allow".

Source: bpf(2), Linux Documentation/admin-guide/cgroup-v2.rst "Device controller", include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

from firkin.linux import syscalls

_PROG_LOAD, _PROG_ATTACH = 5, 8
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_ALLOW_MULTI = 2
_DEVICE = {"b": 1, "c": 2}
_EVERYTHING = ("a", -1, -1, "rwm")
_ACCESS = {"m": 1, "r": 2, "w": 4}

# Opcodes, as BPF_CLASS | BPF_SIZE/OP | BPF_SRC.
_LOAD_WORD = 0x61
_MOV_IMM, _MOV_REG = 0xB7, 0xBF
_AND_IMM, _RSH_IMM = 0x54, 0x74  # 32-bit
_JNE_IMM, _JNE_REG = 0x55, 0x5D
_EXIT = 0x95


def _op(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, src << 4 | dst, offset, value)


def _block(allow: bool, kind: str, major: int, minor: int, access: str) -> bytes:
    """Instructions that return `allow` when the rule matches and fall through when it does not.
    Registers: r2 device type, r3 access asked for, r4 major, r5 minor."""
    tests: list[bytes] = []  # each ends in a jump whose offset is patched below
    if kind != "a":
        tests.append(_op(_JNE_IMM, 2, value=_DEVICE[kind]))
    mask = sum(_ACCESS[letter] for letter in set(access))
    if mask != 7:
        # Matches only when everything asked for is within the rule's access.
        tests.append(_op(_MOV_REG, 1, 3) + _op(_AND_IMM, 1, value=mask) + _op(_JNE_REG, 1, 3))
    if major >= 0:
        tests.append(_op(_JNE_IMM, 4, value=major))
    if minor >= 0:
        tests.append(_op(_JNE_IMM, 5, value=minor))
    verdict = _op(_MOV_IMM, 0, value=int(allow)) + _op(_EXIT)
    code = verdict
    for test in reversed(tests):
        jump = bytearray(test)
        struct.pack_into("<h", jump, len(jump) - 6, len(code) // 8)
        code = bytes(jump) + code
    return code


def device_program(rules: list[tuple[bool, str, int, int, str]]) -> bytes:
    """The program for `rules` (allow, "a"|"b"|"c", major, minor, access), -1 meaning any; later rules win."""
    code = _op(_LOAD_WORD, 2, 1, 0) + _op(_MOV_REG, 3, 2) + _op(_AND_IMM, 2, value=0xFFFF) + _op(_RSH_IMM, 3, value=16)
    code += _op(_LOAD_WORD, 4, 1, 4) + _op(_LOAD_WORD, 5, 1, 8)
    for rule in reversed(rules):
        code += _block(*rule)
        if rule[1:] == _EVERYTHING:
            return code  # the verifier refuses code that cannot be reached
    return code + _op(_MOV_IMM, 0, value=0) + _op(_EXIT)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return syscalls.call("bpf", command, ctypes.addressof(buffer), len(attributes))


def attach_device_program(directory: str, rules: list[tuple[bool, str, int, int, str]]) -> None:
    """Load the program for `rules` and attach it to the cgroup at `directory`; it lives as long as the group."""
    program = ctypes.create_string_buffer(code := device_program(rules), len(code))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    load = struct.pack(
        "<IIQQIIQII", _TYPE_CGROUP_DEVICE, len(code) // 8, ctypes.addressof(program), ctypes.addressof(licence), 0, 0, 0, 0, 0
    )
    program_fd = _bpf(_PROG_LOAD, load)
    try:
        group_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _bpf(_PROG_ATTACH, struct.pack("<IIII", group_fd, program_fd, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI))
        finally:
            os.close(group_fd)
    finally:
        os.close(program_fd)
