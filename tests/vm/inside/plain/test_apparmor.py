"""AppArmor where the kernel enforces it: the default profile, others by name, none; what each lets a container do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.runtime.apparmor_profile import NAME
from tests.lab import Engine, Lab
from tests.vm.inside.conftest import Box

PROFILES = Path("/sys/kernel/security/apparmor/profiles")
LABEL = "cat /proc/self/attr/current"
STRICT = "profile lane-strict flags=(attach_disconnected) { file, capability, deny /etc/** w, }"


@pytest.fixture
def strict() -> Iterator[str]:
    subprocess.run(["apparmor_parser", "-Kr"], input=STRICT, text=True, check=True, timeout=60)
    yield "lane-strict"
    subprocess.run(["apparmor_parser", "-R"], input=STRICT, text=True, check=True, timeout=60)


def test_containers_are_confined_unless_told_otherwise(box: Box) -> None:
    assert f"{NAME} (enforce)" in PROFILES.read_text().splitlines()
    assert box.run(LABEL) == (0, f"{NAME} (enforce)\n")
    assert box.run(LABEL, {"SecurityOpt": ["apparmor=unconfined"]}) == (0, "unconfined\n")
    assert box.run(LABEL, {"Privileged": True}) == (0, "unconfined\n")
    assert box.run(LABEL, {"Privileged": True, "SecurityOpt": [f"apparmor={NAME}"]}) == (0, f"{NAME} (enforce)\n")
    assert box.run(LABEL, {"SecurityOpt": ["apparmor=docker-default"]}) == (0, f"{NAME} (enforce)\n")


def test_more_processes_are_confined_too(box: Box) -> None:
    container = box.start()
    assert box.exec(container, "grep", "-q", NAME, "/proc/self/attr/current") == 0
    free = box.start(host={"SecurityOpt": ["apparmor=unconfined"]})
    assert box.exec(free, "grep", "-q", "unconfined", "/proc/self/attr/current") == 0


def test_a_profile_of_ones_own(box: Box, strict: str) -> None:
    confined = {"SecurityOpt": [f"apparmor={strict}"]}
    code, said = box.run(f"{LABEL}; echo x >/tmp/x && echo x >/etc/x", confined)
    assert code != 0 and said.startswith("lane-strict (enforce)\n") and "Permission denied" in said
    container = box.start(host=confined)
    assert box.inspect(container)["AppArmorProfile"] == strict


def test_a_profile_that_is_not_there(box: Box) -> None:
    container = box.create("true", {"SecurityOpt": ["apparmor=no-such-profile"]})
    answer = box.call("POST", f"/containers/{container}/start", status=500)
    assert "no-such-profile" in answer["message"]
    assert not (Path("/sys/fs/cgroup/firkin") / container).exists()


# Capabilities and mounts that would let root of the container do it, were it not for the profile.
WIDE = {"CapAdd": ["SYS_ADMIN", "SYS_PTRACE", "SYS_RAWIO"], "MaskedPaths": [], "ReadonlyPaths": []}


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs none /tmp",
        "mount --bind /etc /tmp",
        "echo core >/proc/sys/kernel/core_pattern",
        "echo 1 >/proc/sys/vm/drop_caches",
        "echo 1 >/proc/sys/net/ipv4/ip_forward",
        "echo b >/proc/sysrq-trigger",
        "head -c1 /proc/kcore",
    ],
)
def test_what_only_the_profile_forbids(box: Box, attempt: str) -> None:
    code, said = box.run(attempt, WIDE)
    assert code != 0 and ("denied" in said.lower() or "permitted" in said.lower()), said


# The host's Python, which asks for a socket of each of these families (AF_INET, AF_UNIX, AF_ALG, AF_VSOCK): what comes of it.
SYSTEM = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if Path(path).is_dir()]
SOCKETS = """/usr/bin/python3 -IS -c '
import errno, socket
for family, kind in ((2, 1), (1, 1), (38, 5), (40, 1)):
    try: socket.socket(family, kind).close(); print("made")
    except OSError as error: print(errno.errorcode[error.errno])'"""


def test_sockets_that_lead_into_the_kernel_or_out_of_a_guest(box: Box) -> None:
    """Where a filter of the user's own lets them be asked for, and 32-bit programs pass by any. The profile forbids it before
    the kernel looks whether it has the family at all."""
    free = {"SecurityOpt": ["seccomp=unconfined"], "Binds": SYSTEM}
    assert box.run(SOCKETS, free) == (0, "made\nmade\nEACCES\nEACCES\n")
    code, said = box.run(SOCKETS, {**free, "SecurityOpt": [*free["SecurityOpt"], "apparmor=unconfined"]})
    assert code == 0 and said.startswith("made\nmade\n") and "EACCES" not in said, said


def test_a_privileged_one_under_the_profile_may_not_write_to_sys(box: Box) -> None:
    """Where /sys is writable but for the profile."""
    script = "cat /sys/kernel/mm/ksm/run >/tmp/x; cat /tmp/x >/sys/kernel/mm/ksm/run"
    assert box.run(script, {"Privileged": True})[0] == 0
    code, said = box.run(script, {"Privileged": True, "SecurityOpt": [f"apparmor={NAME}"]})
    assert code != 0 and "Permission denied" in said


def test_the_same_without_the_profile(box: Box) -> None:
    """So it is the profile that forbids it."""
    free = {**WIDE, "SecurityOpt": ["apparmor=unconfined"]}
    for attempt in (
        "mount -t tmpfs none /tmp",
        "cat /proc/sys/kernel/core_pattern >/proc/sys/kernel/core_pattern",
        "head -c1 /proc/kcore",
    ):
        assert box.run(attempt, free)[0] == 0, attempt


def test_ordinary_work_is_not_hindered(box: Box) -> None:
    script = """sleep 100 & kill $! && wait; ps | grep -q sh && cat /proc/1/environ >/dev/null && chown 1:1 /tmp && umount /dev/shm 2>/dev/null
        echo 5000 >/proc/self/oom_score_adj 2>/dev/null; echo 500 >/proc/self/oom_score_adj && echo fine >/etc/x && cat /etc/x"""
    assert box.run(script) == (0, "fine\n")
    container = box.start("trap 'exit 7' TERM; while :; do sleep 0.05; done")
    box.call("POST", f"/containers/{container}/stop?t=10")
    assert box.inspect(container)["State"]["ExitCode"] == 7  # the engine's signal has arrived


def test_processes_of_the_host_are_out_of_reach(box: Box) -> None:
    """Even in the host's pid namespace, with every right to do so."""
    victim = subprocess.Popen(["sleep", "1000"])
    try:
        host = {**WIDE, "PidMode": "host", "CapAdd": ["SYS_PTRACE", "KILL"]}
        code, said = box.run(f"kill -9 {victim.pid}; cat /proc/{victim.pid}/environ", host)
        assert code != 0 and said.count("ermi") == 2, said
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_what_inspect_and_info_say(box: Box) -> None:
    assert "name=apparmor" in box.call("GET", "/info")["SecurityOptions"]
    for host, profile in (
        ({}, NAME),
        ({"Privileged": True}, "unconfined"),
        ({"SecurityOpt": ["apparmor=unconfined"]}, "unconfined"),
    ):
        assert box.inspect(box.create("true", host))["AppArmorProfile"] == profile


def test_without_the_loader_it_is_said_and_logged() -> None:
    lab = Lab()
    try:
        lab.run("mount", "--bind", "/bin/false", shutil.which("apparmor_parser") or "")
        engine = Engine(lab).start()
        info = engine.api().call("GET", "/info")[1]
        assert "name=apparmor" not in info["SecurityOptions"] and "AppArmor" in info["Warnings"][0]
        assert f"load AppArmor profile {NAME}" in engine.log() and "run without" in engine.log()
    finally:
        lab.close()
