"""What a seccomp program says of each system call: the program itself is followed, not the profile it was made from.

Every path is tried that some arguments could lead along: a call whose arguments matter has several verdicts.
Source: seccomp(2), linux/filter.h (classic BPF), linux/seccomp.h (struct seccomp_data).
"""

from __future__ import annotations

import functools
import os
import struct

from firkin.runtime import seccomp_library as lib
from firkin.runtime import seccomp_newer

ALLOWED = frozenset((lib.ALLOW, lib.LOG))
_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, constant
_LOAD_ABSOLUTE, _RETURN, _JUMP, _AND = 0x20, 0x06, 0x05, 0x54
_EQUAL, _GREATER, _GREATER_EQUAL, _ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data; behind them only what the caller chooses
_ACTION = 0xFFFF0000
_NEWEST_CALL = 600
_MOST_STEPS = 100_000  # for one call; a program has at most 4096 instructions and no loops


@functools.lru_cache(maxsize=16)
def verdicts(program: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names of the calls it refuses whatever their arguments, of those it refuses for some), of this machine's native calls.
    Refused is whatever is neither allowed nor only logged."""
    instructions = list(_INSTRUCTION.iter_unpack(program))
    refused, by_arguments = [], []
    for number, name in _calls():
        found = outcomes(instructions, number)
        if not found & ALLOWED:
            refused.append(name)
        elif found - ALLOWED:
            by_arguments.append(name)
    return tuple(sorted(refused)), tuple(sorted(by_arguments))


def outcomes(instructions: list[tuple[int, int, int, int]], number: int) -> frozenset[int]:
    """The actions (SECCOMP_RET_*) that native call `number` may meet with. Raises ValueError for what is no such program."""
    known = {_NUMBER: number, _ARCHITECTURE: seccomp_newer.AUDIT[lib.NATIVE[os.uname().machine]]}
    found: set[int] = set()
    pending: list[tuple[int, int | None]] = [(0, 0)]  # (instruction, accumulator: None when the caller chooses it)
    seen: set[tuple[int, int | None]] = set()
    for _ in range(_MOST_STEPS):
        if not pending:
            return frozenset(found)
        state = pending.pop()
        if state in seen:
            continue
        seen.add(state)
        at, value = state
        if at >= len(instructions):
            break
        code, if_true, if_false, constant = instructions[at]
        if code == _RETURN:
            found.add(constant & _ACTION)
        elif code == _LOAD_ABSOLUTE:
            pending.append((at + 1, known.get(constant)))
        elif code == _AND:
            pending.append((at + 1, None if value is None else value & constant))
        elif code == _JUMP:
            pending.append((at + 1 + constant, value))
        else:
            pending += [(at + 1 + (if_true if taken else if_false), value) for taken in _branches(code, value, constant)]
    raise ValueError("follow seccomp program: it does not end")


def _branches(code: int, value: int | None, constant: int) -> tuple[bool, ...]:
    if code not in (_EQUAL, _GREATER, _GREATER_EQUAL, _ANY_BIT):
        raise ValueError(f"follow seccomp program: unknown instruction {code:#x}")
    if value is None:
        return True, False
    if code == _EQUAL:
        return (value == constant,)
    if code == _ANY_BIT:
        return (bool(value & constant),)
    return (value > constant if code == _GREATER else value >= constant,)


@functools.cache
def _calls() -> tuple[tuple[int, str], ...]:
    """(number, name) of every native system call that libseccomp or we have a name for. Left out are those that the kernel
    makes for its own probes and passes by any filter (`NATIVE_NUMBERS`; Linux 6.14, kernel/seccomp.c)."""
    architecture = lib.NATIVE[os.uname().machine]
    unfiltered = seccomp_newer.NATIVE_NUMBERS.get(architecture, {}).values()
    known = {number: name for name, number in seccomp_newer.NUMBERS.items()}
    names = ((number, lib.name_of(lib.ARCHITECTURES[architecture], number)) for number in range(_NEWEST_CALL))
    known |= {number: name for number, name in names if name}
    return tuple(sorted((number, name) for number, name in known.items() if number not in unfiltered))
