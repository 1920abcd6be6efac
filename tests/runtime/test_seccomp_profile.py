"""The default profile against the real kernel: what a filtered process may do, and with which errno it may not."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import Invalid, Unsupported
from firkin.oci.runtime_linux import Seccomp, SeccompArg, SeccompRule
from firkin.runtime import defaults, seccomp_newer
from firkin.runtime.capability_names import NAMES
from firkin.runtime.seccomp_cache import Filters
from firkin.runtime.seccomp_compile import compile_filter
from firkin.runtime.seccomp_library import library
from firkin.runtime.seccomp_profile import resolve

PROBE = Path(__file__).with_name("seccomp_probe.py")
ALL = NAMES
LAST = 9999  # no kernel has it

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers of x86_64")


def number(name: str) -> int:
    if name == "no_such_call":
        return LAST
    found = library().seccomp_syscall_resolve_name(name.encode())
    return found if found >= 0 else seccomp_newer.number_of(name, "SCMP_ARCH_X86_64")


def probe(filter_: Seccomp | None, calls: list[tuple[Any, ...]], directory: Path) -> list[int]:
    """The errno of each call (name or 32-bit number below zero, arguments...) under `filter_`."""
    numbered = [[number(call[0]) if isinstance(call[0], str) else call[0], *call[1:]] for call in calls]
    argv = [sys.executable, "-I", str(PROBE), json.dumps(numbered)]
    if filter_:
        (directory / "program").write_bytes(compile_filter(filter_))
        argv.append(str(directory / "program"))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    answers: list[int] = json.loads(done.stdout)
    return answers


def default(*extra: str) -> Seccomp:
    resolved = resolve("", (*defaults.CAPABILITIES, *extra))
    assert resolved is not None
    return resolved


ALLOWED = [
    ("getpid",),
    ("socket", 1, 1, 0),  # AF_UNIX
    ("socket", 2, 1, 0),  # AF_INET
    ("socket", 16, 3, 0),  # AF_NETLINK
    ("personality", 0xFFFFFFFF),
    ("personality", 0),
    ("clone", 17),  # SIGCHLD only: what fork does
    ("memfd_create", 0),
    ("futex_waitv", 0, 0, 0, 0),
    ("ptrace", 9999),
    ("chroot", 0),
    ("mknodat", 0xFFFFFFFF, 0),
    ("uretprobe",),
    *((name, 0xFFFFFFFF) for name in ("cachestat", "fchmodat2", "map_shadow_stack", "mseal", "statmount", "listmount")),
    *((name, 0xFFFFFFFF) for name in ("setxattrat", "getxattrat", "listxattrat", "removexattrat")),
    *((name, 0) for name in ("futex_wake", "futex_wait", "futex_requeue")),
]

REFUSED = [
    ("socket", 38, 5, 0),  # AF_ALG
    ("socket", 40, 1, 0),  # AF_VSOCK
    ("personality", 0x0040000),  # ADDR_NO_RANDOMIZE
    ("clone", 0x10000011),  # CLONE_NEWUSER | SIGCHLD
    ("unshare", 0x10000000),
    *((name, 0) for name in ("mount", "umount2", "pivot_root", "setns", "open_tree", "move_mount", "fsopen", "mount_setattr")),
    *((name, 0) for name in ("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup")),
    *((name, 0) for name in ("kexec_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "acct")),
    *(
        (name, 0)
        for name in ("open_by_handle_at", "settimeofday", "iopl", "quotactl", "syslog", "nfsservctl", "lookup_dcookie")
    ),
    *((name, 0) for name in ("kcmp", "process_madvise", "pidfd_getfd", "mbind", "set_mempolicy", "lsm_get_self_attr")),
]


@pytest.mark.parametrize("call", ALLOWED, ids=lambda call: f"{call[0]}-{len(call)}")
def test_an_allowed_call_behaves_as_without_a_filter(call: tuple[Any, ...], tmp_path: Path) -> None:
    assert probe(default(), [call], tmp_path) == probe(None, [call], tmp_path)


def test_dangerous_calls_are_refused_with_eperm(tmp_path: Path) -> None:
    answers = dict(zip(REFUSED, probe(default(), REFUSED, tmp_path), strict=True))
    assert set(answers.values()) == {errno.EPERM}, {call: answer for call, answer in answers.items() if answer != errno.EPERM}


def test_calls_with_an_older_equivalent_say_they_do_not_exist(tmp_path: Path) -> None:
    """So that programs fall back: clone3 (its flags cannot be filtered), and calls newer than any the profile names."""
    calls = [("clone3", 0, 0), ("open_tree_attr", 0), ("file_getattr", 0), ("no_such_call",)]
    assert probe(default(), calls, tmp_path) == [errno.ENOSYS] * len(calls)


def test_a_capability_brings_its_calls(tmp_path: Path) -> None:
    calls = [("mount", 0), ("unshare", 0), ("clone3", 0, 0), ("open_tree_attr", 0xFFFFFFFF, 0, 0, 0, 0)]
    assert probe(default("CAP_SYS_ADMIN"), calls, tmp_path) == probe(None, calls, tmp_path)
    assert probe(default("CAP_SYS_PTRACE"), [("kcmp", 1, 1, 99)], tmp_path) == probe(None, [("kcmp", 1, 1, 99)], tmp_path)
    no_chroot = resolve("", tuple(name for name in defaults.CAPABILITIES if name != "CAP_SYS_CHROOT"))
    assert probe(no_chroot, [("chroot", 0)], tmp_path) == [errno.EPERM]


def test_every_allowed_name_is_decided_on_this_kernel(tmp_path: Path) -> None:
    """None of the profile's calls may be lost between libseccomp's tables and ours (the kernel knows them all by number)."""
    filter_ = default()
    unconditional = [
        name for rule in filter_.syscalls if rule.action == "SCMP_ACT_ALLOW" and not rule.args for name in rule.names
    ]
    program = compile_filter(filter_)
    lost = [name for name in unconditional if number(name) >= 0 and run_bpf(program, number(name), 0xC000003E) != 0x7FFF0000]
    assert lost == []


def test_32_bit_calls_are_filtered_alike(tmp_path: Path) -> None:
    """int 0x80 reaches the 32-bit table from any program; socketcall would take AF_ALG past the filter."""
    if probe(None, [(-20,)], tmp_path) != [0]:
        pytest.skip("this kernel has no 32-bit calls")
    answers = probe(default(), [(-20,), (-359, 1, 1, 0), (-359, 38, 5, 0), (-310, 0x10000000), (-102, 1, [38, 5, 0])], tmp_path)
    assert answers == [0, 0, errno.EPERM, errno.EPERM, errno.ENOSYS]  # getpid, socket, socket, unshare, socketcall


# --- other architectures, by interpreting the program --------------------------------------------------------------
def run_bpf(program: bytes, call: int, architecture: int, *arguments: int) -> int:
    """What the kernel would answer: the subset of classic BPF that seccomp programs are made of."""
    data = ctypes.create_string_buffer(64)
    words = [call.to_bytes(4, "little"), architecture.to_bytes(4, "little"), bytes(8)]
    data[:64] = b"".join([*words, *(argument.to_bytes(8, "little") for argument in (*arguments, *[0] * (6 - len(arguments))))])
    instructions = [
        (
            int.from_bytes(program[place : place + 2], "little"),
            program[place + 2],
            program[place + 3],
            int.from_bytes(program[place + 4 : place + 8], "little"),
        )
        for place in range(0, len(program), 8)
    ]
    accumulator = counter = 0
    while True:
        code, yes, no, operand = instructions[counter]
        counter += 1
        if code == 0x20:
            accumulator = int.from_bytes(data[operand : operand + 4], "little")
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x05:
            counter += operand
        elif code == 0x06:
            return operand
        else:
            taken = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x35: accumulator >= operand,
                0x45: accumulator & operand,
            }
            counter += yes if taken[code] else no


def test_the_programs_for_arm_decide_the_same() -> None:
    rules = default().syscalls
    program = compile_filter(Seccomp("SCMP_ACT_ERRNO", 1, ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"), syscalls=rules))
    arm64, arm = 0xC00000B7, 0x40000028
    assert run_bpf(program, 172, arm64) == 0x7FFF0000  # getpid
    assert run_bpf(program, 40, arm64) == 0x50001  # mount
    assert run_bpf(program, 198, arm64, 38) == 0x50001  # socket(AF_ALG)
    assert run_bpf(program, 198, arm64, 2) == 0x7FFF0000
    assert run_bpf(program, 466, arm64) == 0x7FFF0000  # removexattrat
    assert run_bpf(program, 467, arm64) == 0x50000 | errno.ENOSYS
    assert run_bpf(program, 0x0F0005, arm) == 0x50001  # set_tls is not taken for a newer call
    assert run_bpf(program, 20, arm) == 0x7FFF0000
    assert run_bpf(program, 900, arm) == 0x50000 | errno.ENOSYS


# --- profiles of the user's own ------------------------------------------------------------------------------------
def test_a_profile_in_dockers_format(tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "no_such_name"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EROFS},
            {"name": "rmdir", "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "4.8"}},
            {"names": ["unlink"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}},
            {"names": ["mseal"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV},
            {"names": ["dup3"], "action": "SCMP_ACT_ERRNO", "args": [
                {"index": 1, "value": 7, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]},
        ],
    }  # fmt: skip
    resolved = resolve(json.dumps(profile), defaults.CAPABILITIES)
    calls = [("mkdir", 0), ("rmdir", 0), ("unlink", 0), ("mseal", 1), ("dup3", 1, 7, 0), ("dup3", 1, 9, 0), ("no_such_call",)]
    expected = [errno.EROFS, errno.EPERM, errno.EFAULT, errno.EXDEV, errno.EPERM, errno.EPERM, errno.ENOSYS]
    assert probe(resolved, calls, tmp_path) == expected


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        ("not json", "decode seccomp profile"),
        ('{"defaultAction": 7}', "defaultAction"),
        ('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}]}', "not both"),
        ('{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"x"}]}', "not both"),
        ('{"defaultAction":"SCMP_ACT_NONE"}', "unknown action"),
        ('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG",'
         '"args":[{"index":0,"value":1,"op":"LIKE"}]}]}', "unknown operator"),
        ('{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_VAX"]}', "unknown architecture"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_profile_is_said(profile: str, complaint: str) -> None:
    with pytest.raises((Invalid, Unsupported)) as caught:
        resolved = resolve(profile, ())
        assert resolved is not None
        compile_filter(resolved)
    assert complaint in caught.value.message


def test_an_empty_profile_is_none() -> None:
    assert resolve("{}", ()) is None


# --- the cache -----------------------------------------------------------------------------------------------------
def test_a_program_is_compiled_once(tmp_path: Path) -> None:
    first = Filters(str(tmp_path / "caches"))
    program = first.program(default())
    assert program == compile_filter(default())
    (stored,) = (tmp_path / "caches").iterdir()
    stored.write_bytes(b"kept on disk")
    assert first.program(default()) == program
    assert Filters(str(tmp_path / "caches")).program(default()) == b"kept on disk"
    assert Filters(str(tmp_path / "caches")).program(default("CAP_SYS_ADMIN")) != program


def test_conditions_that_a_newer_call_cannot_have_do_not_open_it(tmp_path: Path) -> None:
    """libseccomp may not know the call; then an allowance with conditions is no allowance."""
    condition = (SeccompArg(0, 1, "SCMP_CMP_EQ"),)
    unknown = next((name for name in seccomp_newer.NUMBERS if library().seccomp_syscall_resolve_name(name.encode()) == -1), "")
    if not unknown:
        pytest.skip("libseccomp knows all calls we do")
    filter_ = Seccomp(
        "SCMP_ACT_ERRNO",
        1,
        syscalls=(SeccompRule((unknown,), "SCMP_ACT_ALLOW", args=condition), SeccompRule(("listns",), "SCMP_ACT_ALLOW")),
    )
    assert run_bpf(compile_filter(filter_), number(unknown), 0xC000003E, 1) == 0x50001
