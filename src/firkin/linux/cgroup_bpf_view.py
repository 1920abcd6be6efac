"""The device rules of a version 2 group, read back from the program that the kernel has for it.

The kernel gives out a program's instructions; `cgroup_bpf` makes one block of them of each rule, and here the blocks become
rules again. The invariant: rules are only told of instructions that are such blocks from the first to the last; of any other
program, or of several, nothing is.

Source: bpf(2); include/uapi/linux/bpf.h: `union bpf_attr` of BPF_PROG_QUERY, BPF_PROG_GET_FD_BY_ID and
BPF_OBJ_GET_INFO_BY_FD, `struct bpf_prog_info`.
"""

from __future__ import annotations

import os
import struct

from firkin.linux import cgroup_bpf, libc
from firkin.linux.cgroup_bpf import Rule

_GET_FD_BY_ID, _GET_INFO, _QUERY = 13, 15, 16
_MANY = 64  # as many programs as the kernel attaches to one group
_IDS = struct.Struct(f"={_MANY}I")
_ASKED = struct.Struct("<IIIIQI44x")  # group, attach type, two sets of flags, where to put ids, how many; newer fields
_INFO = struct.Struct("<IIQIIQQ")  # type, id, tag, lengths of machine code and of instructions, where to put either

Instruction = tuple[int, int, int, int]  # opcode, registers (source << 4 | destination), offset, value


def device_rules(directory: str) -> list[Rule] | None:
    """Of the group at `directory`, in the order given to `attach_device_program`, without the refusal of everything that
    may stand first. None when its program is not one of ours; raises OSError."""
    programs = [_instructions(number) for number in _attached(directory)]
    if not programs:
        return [(True, *cgroup_bpf.EVERYTHING)]
    return decode(programs[0]) if len(programs) == 1 else None


def decode(program: bytes) -> list[Rule] | None:
    """The rules that a program was made of, None if it was not made of any."""
    if not program.startswith(cgroup_bpf.PROLOGUE):
        return None
    rules: list[Rule] = []
    for block in _blocks(program[len(cgroup_bpf.PROLOGUE) :]):
        rule = _rule(block)
        if cgroup_bpf.block(*rule) != b"".join(cgroup_bpf.op(*one) for one in block):
            return None
        rules.append(rule)
    if not rules or rules[-1][1:] != cgroup_bpf.EVERYTHING:
        return None
    return [rule for rule in reversed(rules) if rule != (False, *cgroup_bpf.EVERYTHING)]


def _blocks(code: bytes) -> list[list[Instruction]]:
    """Each ends with a verdict's exit."""
    blocks: list[list[Instruction]] = [[]]
    for instruction in struct.iter_unpack("<BBhi", code):
        blocks[-1].append(instruction)
        if instruction[0] == cgroup_bpf.EXIT:
            blocks.append([])
    return [block for block in blocks if block]


def _rule(block: list[Instruction]) -> Rule:
    """What a block says, if it is one; whether it is shows when it is made again."""
    kind, major, minor, access = cgroup_bpf.EVERYTHING
    allow = False
    for code, registers, _, value in block:
        if code == cgroup_bpf.MOV_IMM:
            allow = value == 1
        elif code == cgroup_bpf.AND_IMM:
            access = "".join(letter for letter in "rwm" if cgroup_bpf.ACCESS[letter] & value)
        elif code == cgroup_bpf.JNE_IMM and registers == cgroup_bpf.TYPE:
            kind = "b" if value == cgroup_bpf.DEVICE["b"] else "c"
        elif code == cgroup_bpf.JNE_IMM and registers == cgroup_bpf.MAJOR:
            major = value
        elif code == cgroup_bpf.JNE_IMM:
            minor = value
    return allow, kind, major, minor, access


def _attached(directory: str) -> list[int]:
    """Ids of the group's own device programs; those of the groups above are not the engine's."""
    ids = libc.create_string_buffer(_IDS.size)
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        asked = bytearray(_ASKED.pack(group, cgroup_bpf.ATTACH_CGROUP_DEVICE, 0, 0, libc.addressof(ids), _MANY))
        cgroup_bpf.bpf(_QUERY, asked)
    finally:
        os.close(group)
    count: int = _ASKED.unpack(asked)[5]
    return list(_IDS.unpack(ids)[:count])


def _instructions(number: int) -> bytes:
    """Of the program with this id, as the kernel's verifier has left them."""
    program = cgroup_bpf.bpf(_GET_FD_BY_ID, bytearray(struct.pack("<III", number, 0, 0)))
    try:
        length = _info(program, 0, 0)
        code = libc.create_string_buffer(length)
        _info(program, length, libc.addressof(code))
    finally:
        os.close(program)
    return code.raw


def _info(program: int, length: int, code: int) -> int:
    """Its number of bytes of instructions, of which `length` are put at the address `code`."""
    info = libc.create_string_buffer(_INFO.pack(0, 0, 0, 0, length, 0, code))
    cgroup_bpf.bpf(_GET_INFO, bytearray(struct.pack("<IIQ", program, _INFO.size, libc.addressof(info))))
    found: int = _INFO.unpack(info)[4]
    return found
