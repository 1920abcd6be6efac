"""Filters that keep a process from saying why its program could not be executed: it is told all the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.ocirt.conftest import Bundle, Runtime

TALK = ["sendmsg", "sendto", "write", "writev"]
ACTIONS = ("SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP")
FAULTS = {"/bin/odd": "exec format error", "/bin/plain": "permission denied", "/bin/none": "no such file or directory"}


@pytest.fixture
def mute(bundle: Bundle, rootfs: Path) -> Bundle:
    """Programs that execve(2) takes no liking to, and a group that nobody else has."""
    (rootfs / "bin/odd").write_bytes(b"\x7fELF, but no more of it")
    (rootfs / "bin/odd").chmod(0o755)
    (rootfs / "bin/plain").write_text("plain")
    bundle.config["linux"]["cgroupsPath"] = f"/firkin-mute-{os.getpid()}"
    return bundle


def forbid(bundle: Bundle, action: str, *names: str) -> None:
    bundle.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": list(names), "action": action}],
    }


def said(stderr: str) -> Any:
    return json.loads(stderr.rpartition("msg=")[2])


@pytest.mark.parametrize("privileges", [True, False])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("program", FAULTS)
def test_run_tells(oci: Runtime, mute: Bundle, program: str, action: str, privileges: bool) -> None:
    mute.config["process"].update(noNewPrivileges=not privileges, args=[program])
    forbid(mute, action, *TALK)
    message = said(oci.run(mute, check=1).stderr)
    assert program in message and FAULTS[program] in message
    assert oci.ids() == []


def test_not_even_the_end_need_be_allowed(oci: Runtime, mute: Bundle) -> None:
    """exit_group(2) included: then the processor's own exception ends it."""
    mute.config["process"]["args"] = ["/bin/odd"]
    forbid(mute, "SCMP_ACT_ERRNO", *TALK, "exit_group", "exit")
    assert "exec /bin/odd: exec format error" in said(oci.run(mute, check=1).stderr)


@pytest.mark.parametrize("action", ACTIONS)
def test_start_and_exec_tell(oci: Runtime, mute: Bundle, action: str) -> None:
    forbid(mute, action, "sendmsg", "sendto")  # the shell needs the others
    mute.config["process"]["args"] = ["/bin/odd"]
    oci.create(mute)
    assert "exec /bin/odd: exec format error" in said(oci.call("start", "box", check=1).stderr)
    oci.call("delete", "--force", "box")
    oci.run(mute.sh("exec sleep 1000"), "--detach")
    assert "exec /bin/odd: exec format error" in said(oci.call("exec", "box", "/bin/odd", check=255).stderr)
    assert oci.call("exec", "box", "echo", "well").stdout == "well\n"


def test_a_filter_that_lets_nothing_be_executed(oci: Runtime, runc: Runtime, mute: Bundle) -> None:
    """Refused, that is an error; killed by it, the process has ended, as it would have one moment later."""
    for runtime in (oci, runc):
        forbid(mute, "SCMP_ACT_ERRNO", "execve", "execveat")
        assert "operation not permitted" in runtime.run(mute, check=1).stderr
        assert runtime.ids() == []


@pytest.mark.parametrize("action", ACTIONS)
def test_who_is_mute_but_well_runs(runtime: Runtime, mute: Bundle, action: str) -> None:
    """Also after names that were not there: the program is the fourth that is tried."""
    mute.config["process"].update(args=["true"], env=["PATH=/nowhere:/etc:/tmp:/bin"])
    forbid(mute, action, "sendmsg", "sendto")
    runtime.run(mute)
    mute.config["process"]["args"] = ["false"]
    runtime.run(mute, check=1)
