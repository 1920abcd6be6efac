"""What is said of a seccomp program, beside what the kernel does with it."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
from tests.runtime.test_seccomp_profile import ALLOWED, default, number, probe

from firkin.oci.runtime_linux import Seccomp, SeccompArg, SeccompRule
from firkin.runtime.seccomp_compile import compile_filter
from firkin.runtime.seccomp_newer import NUMBERS
from firkin.runtime.seccomp_verdicts import verdicts

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers of x86_64")
MARK = 77  # an errno that no call gives by itself (EBADFD)


def test_every_call_said_to_be_refused_is_refused_by_the_kernel(tmp_path: Path) -> None:
    refused, _ = verdicts(compile_filter(default()))
    marked = default().replace(default_errno_ret=MARK)
    mentioned = {name for rule in marked.syscalls for name in rule.names}  # with an errno of their own
    told = [name for name in refused if name not in mentioned]
    assert len(told) > 50
    answers = dict(zip(told, probe(marked, [(name, 0xFFFFFFFF) for name in told], tmp_path), strict=True))
    others = {name for name, answer in answers.items() if answer != MARK}
    assert others <= NUMBERS.keys() and {answers[name] for name in others} <= {errno.ENOSYS}  # newer than the profile


def test_no_call_that_works_is_said_to_be_refused() -> None:
    refused, by_arguments = verdicts(compile_filter(default()))
    assert {call[0] for call in ALLOWED}.isdisjoint(refused)
    assert {"socket", "clone", "personality"} <= set(by_arguments)


def test_a_list_of_refusals_comes_back_as_it_was_given() -> None:
    names = ("chroot", "keyctl", "mseal", "swapon")
    rules = (
        SeccompRule(names, "SCMP_ACT_KILL_PROCESS"),
        SeccompRule(("kill",), "SCMP_ACT_ERRNO", 1, (SeccompArg(1, 9, "SCMP_CMP_EQ"),)),
        SeccompRule(("getpid",), "SCMP_ACT_LOG"),
    )
    program = compile_filter(Seccomp("SCMP_ACT_ALLOW", syscalls=rules))
    assert verdicts(program) == (names, ("kill",))
    assert number("mseal") == 462


@pytest.mark.parametrize(
    "instructions",
    [[(0x05, 0, 0, 0xFFFFFFFF)], [(0x99, 0, 0, 0), (0x06, 0, 0, 0)], [(0x20, 0, 0, 0)]],
    ids=["a jump nowhere", "an unknown instruction", "no end"],
)
def test_what_is_no_program_is_said_to_be_none(instructions: list[tuple[int, int, int, int]]) -> None:
    with pytest.raises(ValueError, match="follow seccomp program"):
        verdicts(b"".join(struct.pack("=HBBI", *one) for one in instructions))
