"""System call filters as OCI configurations have them: every action, operator, flag and architecture, and the listener.

runc is asked the same where Debian's (1.1, libseccomp 2.5) can do it.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import Invalid, Unsupported
from firkin.oci.runtime_linux import Seccomp, SeccompRule
from firkin.runtime import seccomp_compile
from firkin.runtime.seccomp_library import ARCHITECTURES, library
from tests.ocirt.conftest import Bundle, Runtime
from tests.seccomp_agent import Agent

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls by number: x86_64's")
BAD_SYSTEM_CALL = 128 + 31  # SIGSYS


@pytest.fixture(autouse=True)
def own_cgroup(bundle: Bundle) -> None:
    """Whoever else runs a container called "box" on this machine has another."""
    bundle.config["linux"]["cgroupsPath"] = f"/firkin-spec-{os.getpid()}"


def filtered(bundle: Bundle, *rules: dict[str, Any], **more: Any) -> Bundle:
    bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}
    return bundle


def rule(name: str, action: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": action, **more}


def argument(index: int, op: str, value: int, value_two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": op, "value": value, "valueTwo": value_two}


# --- actions -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("action", "status", "said"),
    [
        ("SCMP_ACT_ALLOW", 0, "done"),
        ("SCMP_ACT_LOG", 0, "done"),
        ("SCMP_ACT_ERRNO", 1, "Operation not permitted"),
        ("SCMP_ACT_KILL", BAD_SYSTEM_CALL, ""),
        ("SCMP_ACT_KILL_THREAD", BAD_SYSTEM_CALL, ""),
        ("SCMP_ACT_KILL_PROCESS", BAD_SYSTEM_CALL, ""),
        ("SCMP_ACT_TRAP", BAD_SYSTEM_CALL, ""),
        ("SCMP_ACT_TRACE", 1, "Function not implemented"),  # nobody traces
    ],
)
def test_actions(oci: Runtime, runc: Runtime, bundle: Bundle, action: str, status: int, said: str) -> None:
    filtered(bundle, rule("mkdir", action)).sh("mkdir /dev/shm/x && echo done")
    for runtime in (oci, runc):
        done = runtime.run(bundle, check=None)
        assert (done.returncode, said in done.stdout + done.stderr) == (status, True), (runtime.name, done)


def test_the_error_number_is_chosen(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    filtered(bundle, rule("mkdir", errnoRet=errno.EXDEV), rule("rmdir", errnoRet=0)).sh("mkdir /dev/shm/x; rmdir /nothing")
    for runtime in (oci, runc):
        assert runtime.run(bundle).stderr == "mkdir: can't create directory '/dev/shm/x': Invalid cross-device link\n"


def test_everything_may_be_refused_by_default(oci: Runtime, bundle: Bundle) -> None:
    """The error of a call that no rule names is the default's; what runs is what is named."""
    needed = """execve brk arch_prctl write writev exit_group mmap mprotect munmap readlink prctl getuid ioctl read
        rt_sigaction rt_sigprocmask set_tid_address set_robust_list rseq prlimit64 getrandom uname capget capset
        setuid setgid setgroups fstatfs getdents64 fstat newfstatat openat close fcntl lseek futex getpid getppid
        setresuid setresgid setpgid umask exit epoll_ctl epoll_pwait nanosleep clone tgkill gettid sendmsg
        recvfrom recvmsg sendto getcwd faccessat faccessat2 chdir fchdir statx stat lstat wait4 getegid geteuid getgid"""
    allowed = {"names": needed.split(), "action": "SCMP_ACT_ALLOW"}
    filtered(bundle, allowed, defaultAction="SCMP_ACT_ERRNO", defaultErrnoRet=errno.ENOTTY).sh("mkdir /dev/shm/x")
    assert "Inappropriate ioctl for device" in oci.run(bundle, check=1).stderr


# --- operators -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("conditions", "refused"),  # kill(PID, 0) of these pids, which are not there, is refused rather than ESRCH
    [
        ([argument(0, "SCMP_CMP_EQ", 200)], {200}),
        ([argument(0, "SCMP_CMP_NE", 200)], {100, 300}),
        ([argument(0, "SCMP_CMP_LT", 200)], {100}),
        ([argument(0, "SCMP_CMP_LE", 200)], {100, 200}),
        ([argument(0, "SCMP_CMP_GT", 200)], {300}),
        ([argument(0, "SCMP_CMP_GE", 200)], {200, 300}),
        ([argument(0, "SCMP_CMP_MASKED_EQ", 0x0C, 0x08)], {200}),
        ([argument(0, "SCMP_CMP_EQ", 300), argument(1, "SCMP_CMP_EQ", 0)], {300}),
        ([argument(0, "SCMP_CMP_EQ", 100), argument(0, "SCMP_CMP_EQ", 300)], {100, 300}),  # of one argument: either
    ],
)
def test_operators(oci: Runtime, runc: Runtime, bundle: Bundle, conditions: list[dict[str, Any]], refused: set[int]) -> None:
    filtered(bundle, rule("kill", args=conditions)).sh("for i in 100 200 300; do kill -0 $i; done 2>&1; true")
    answers = [runtime.run(bundle).stdout.splitlines() for runtime in (oci, runc)]
    assert answers[0] == answers[1]
    assert {pid for pid, line in zip((100, 200, 300), answers[0], strict=True) if "not permitted" in line} == refused


# --- flags and architectures ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "names", [["LOG"], ["SPEC_ALLOW"], ["TSYNC"], ["LOG", "SPEC_ALLOW", "TSYNC"], ["WAIT_KILLABLE_RECV"], []]
)
def test_flags(oci: Runtime, bundle: Bundle, names: list[str]) -> None:
    filtered(bundle, rule("mkdir"), flags=[f"SECCOMP_FILTER_FLAG_{name}" for name in names])
    bundle.sh("mkdir /dev/shm/x; grep Seccomp_filters /proc/self/status")
    done = oci.run(bundle)
    assert "Operation not permitted" in done.stderr and done.stdout == "Seccomp_filters:\t1\n"


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_architectures(name: str) -> None:
    """Those of the other byte order cannot share a filter; those that this libseccomp does not know are named."""
    seccomp = Seccomp("SCMP_ACT_ALLOW", architectures=(name,), syscalls=(SeccompRule(("mkdir",), "SCMP_ACT_ERRNO"),))
    big = name in [
        "SCMP_ARCH_M68K",
        "SCMP_ARCH_MIPS",
        "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_PPC",
        "SCMP_ARCH_PPC64",
        "SCMP_ARCH_S390",
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_SHEB",
        "SCMP_ARCH_PARISC",
        "SCMP_ARCH_PARISC64",
    ]
    known = library().seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    try:
        assert len(seccomp_compile.compile_filter(seccomp)) > 32
        assert not big
    except Unsupported as error:
        assert not known and name in error.message
    except Invalid as error:
        assert big and "byte order" in error.message


# --- the listener --------------------------------------------------------------------------------------------------
@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path / "agent")
    yield agent
    agent.close()


def asked(bundle: Bundle, tmp_path: Path, *names: str) -> Bundle:
    filtered(bundle, *(rule(name, "SCMP_ACT_NOTIFY") for name in names))
    bundle.config["linux"]["seccomp"].update(listenerPath=str(tmp_path / "agent"), listenerMetadata='a "secret"')
    bundle.config["annotations"] = {"org.example": "x"}
    return bundle


@pytest.mark.parametrize("privileges", [True, False])
def test_an_agent_decides(oci: Runtime, runc: Runtime, bundle: Bundle, tmp_path: Path, agent: Agent, privileges: bool) -> None:
    """Also of calls that the runtime itself makes on the way to the program, such as close and fchdir."""
    bundle.config["process"]["noNewPrivileges"] = not privileges
    asked(bundle, tmp_path, "mkdir", "rmdir").sh("mkdir /dev/shm/x; rmdir /dev/shm; ls /proc/self/fd; true")
    said = [runtime.run(bundle) for runtime in (oci, runc)]
    assert said[0].stdout == said[1].stdout and said[0].stderr == said[1].stderr
    assert said[0].stderr.count("Structure needs cleaning") == 2 and agent.calls == [83, 84] * 2
    ours, theirs = agent.reports
    for report in (ours, theirs):
        report["state"]["pid"] = report["pid"] = "a pid" if report["pid"] == report["state"]["pid"] else "two pids"
    theirs["ociVersion"] = theirs["state"]["ociVersion"] = ours["ociVersion"]  # each says which it implements
    ours["state"] = {key: value for key, value in ours["state"].items() if key in theirs["state"]}  # it may hold more
    assert ours == {**theirs, "state": {**theirs["state"], "ociVersion": ours["state"]["ociVersion"]}}
    assert (ours["fds"], ours["pid"], ours["state"]["status"]) == (["seccompFd"], "a pid", "creating")
    assert ours["metadata"] == 'a "secret"' and ours["state"]["bundle"] == str(bundle.path)


def test_an_agent_decides_after_start(oci: Runtime, bundle: Bundle, tmp_path: Path, agent: Agent) -> None:
    """With `create` and `start` the filter is installed by the child that `start` has let go on."""
    asked(bundle, tmp_path, "mkdir").sh("mkdir /dev/shm/x; sleep 60")
    oci.create(bundle)
    assert agent.reports == []
    pid = oci.state()["pid"]
    oci.call("start", "box")
    assert [report["pid"] for report in agent.reports] == [pid]
    added = oci.call("exec", "box", "mkdir", "/dev/shm/y", check=1)
    assert "Structure needs cleaning" in added.stderr
    assert agent.reports[1]["pid"] != pid == agent.reports[1]["state"]["pid"]
    assert agent.reports[1]["state"]["status"] == "running"


def test_an_agent_that_is_not_there(oci: Runtime, runc: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    asked(bundle, tmp_path, "mkdir").sh("mkdir /dev/shm/x")
    for runtime in (oci, runc):
        done = runtime.run(bundle, check=1)
        assert "agent" in done.stderr and "no such file or directory" in done.stderr
        assert runtime.ids() == []


def test_an_agent_may_be_asked_about_the_runtimes_own_calls(oci: Runtime, bundle: Bundle, tmp_path: Path, agent: Agent) -> None:
    """The child needs one call to hear that the agent has the listener; every other may be refused it."""
    asked(bundle, tmp_path, "sendmsg", "sendto", "write").sh("true")
    assert oci.run(bundle).returncode == 0
