"""Becoming more than one was started as: set-user-id programs, file capabilities, groups. CVE-2022-29162, CVE-2022-24769,
CVE-2022-36109; and descriptors and directories left open on the way in, CVE-2024-21626."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from firkin.linux import mount
from firkin.runtime import child
from firkin.runtime.state import State
from tests.attacks.rig import IMAGE, PYTHON, SECRET, Rig, with_python
from tests.runtime.box import DOCKER_CAPABILITIES, Box

LINES = "Uid|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs"


def status(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """`setuid`: grep, for everybody as root. `inherits`: grep with all capabilities, if those of the caller are inheritable."""
    tmp_path.chmod(0o755)
    for name in ("setuid", "inherits"):
        shutil.copy("/usr/bin/grep", tmp_path / name)
    os.chmod(tmp_path / "setuid", 0o4755)
    everything = 0xFFFFFFFF
    version_2_effective = 0x02000001
    value = struct.pack("<5I", version_2_effective, 0, everything, 0, everything)
    os.setxattr(tmp_path / "inherits", "security.capability", value)
    return tmp_path


def test_a_set_user_id_program_and_no_new_privileges(rig: Rig, programs: Path) -> None:
    flags = ["--user", "nobody", *PYTHON, f"-v{programs}:/p"]
    script = f"/p/setuid -E '{LINES}' /proc/self/status"
    gained = status(rig.shell(script, *flags))
    assert gained["Uid"].split()[1] == "0" and int(gained["CapEff"], 16) == DOCKER_CAPABILITIES  # no more than root has there
    kept = status(rig.shell(script, *flags, "--security-opt", "no-new-privileges"))
    assert set(kept["Uid"].split()) == {"65534"} and int(kept["CapEff"], 16) == 0


@pytest.mark.parametrize("how", ["run", "exec", "exec as root, then not"])
def test_no_capability_is_inheritable(rig: Rig, programs: Path, how: str) -> None:
    """Or a program with such capabilities in its file would have them for whoever calls it."""
    command = ["/p/inherits", "-E", LINES, "/proc/self/status"]
    flags = [*PYTHON, f"-v{programs}:/p"]
    if how == "run":
        said = rig.run("--user", "nobody", *flags, IMAGE, *command).stdout
    else:
        as_user = ["--user", "nobody"] if how == "exec" else []
        switch = [] if how == "exec" else ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        with rig.held(*flags, IMAGE, "sleep", "1000") as container:
            said = rig.engine.firkin("exec", *as_user, container, *switch, *command).stdout
    found = status(said)
    assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}, said


def test_a_naive_runtime_makes_them_inheritable(box: Box, programs: Path) -> None:
    """As Docker did until 2022."""
    bind = ("bind", str(programs), "/p", True, 0, 0, mount.MS_PRIVATE, "dir")
    caps = DOCKER_CAPABILITIES
    become: list[tuple[Any, ...]] = [("user", "65534", [], False), ("close-fds", 3), ("identity", caps, 0, 0, caps, 0)]
    command = ["/p/inherits", "-E", LINES, "/proc/self/status"]
    result = box.run([*box.root(), *box.mounts(), *with_python(box), bind, *box.into(), *become, ("exec", command, [])])
    assert int(status(result.output)["CapEff"], 16) == caps, result


def test_a_group_that_denies_is_not_dropped(rig: Rig, tmp_path: Path) -> None:
    """Whose primary group may not read a file cannot do so by starting without that group (CVE-2022-36109)."""
    secret = tmp_path / "secret"
    secret.write_text("denied to the group\n")
    os.chown(secret, 0, 1234)
    secret.chmod(0o604)
    found = rig.shell("id -G; cat /v/secret", f"-v{tmp_path}:/v", "--user", "65534:1234")
    assert "1234" in found.split() and "denied to" not in found


# --- what is left open ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flags", [[], ["-t"], ["-i"], ["--privileged"]], ids=lambda flags: " ".join(flags) or "plain")
def test_a_program_has_its_streams_and_nothing_else(rig: Rig, flags: list[str]) -> None:
    script = "ls /proc/self/fd | cat"
    assert rig.shell(script, *flags).split() == ["0", "1", "2", "3"]  # 3 is the listing's own
    with rig.held(IMAGE, "sleep", "1000") as container:
        options = [flag for flag in flags if flag != "-i"]
        said = rig.engine.firkin("exec", *options, container, "sh", "-c", script).stdout
        assert said.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "path", [*(f"/proc/self/fd/{number}" for number in range(3, 24, 4)), "/proc/self/cwd", "/proc/1/root/.."]
)
def test_a_working_directory_that_is_the_engines(rig: Rig, path: str) -> None:
    """It is refused, or is one of the container's own, from where no number of steps up leads out."""
    up = "../" * 20
    script = f"cat {up}{rig.secret} ./{rig.secret.name} /proc/self/cwd/{up}{rig.secret}"
    done = rig.run("-w", path, IMAGE, "sh", "-c", script)
    assert done.returncode and SECRET not in done.stdout
    with rig.held(IMAGE, "sleep", "1000") as container:
        done = rig.engine.firkin("exec", "-w", path, container, "sh", "-c", script, check=False)
        assert done.returncode and SECRET not in done.stdout
    done = rig.run(f"-v{rig.dir}/nothing:/v", "-w", "/v", IMAGE, "sh", "-c", script)  # the way up from a real mount
    assert done.returncode and SECRET not in done.stdout


def naive_cwd(state: State, path: str, create: bool) -> None:
    """By its path, with whatever the runtime has open."""
    os.chdir(path)


def test_a_naive_working_directory_leads_out(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of the host's left open, as in runc 1.1.11: through /proc/self/fd it is one to work in."""
    monkeypatch.setitem(child.STEPS, "cwd", naive_cwd)
    (tmp_path / "secret").write_text(SECRET)
    leaked = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    caps: list[Any] = [DOCKER_CAPABILITIES] * 3
    cwd: list[tuple[Any, ...]] = [("cwd", f"/proc/self/fd/{leaked}", False), ("close-fds", 3), ("identity", *caps, 0, 0)]
    try:
        steps = [*box.root(), *box.mounts(), *box.into(), *cwd, ("exec", ["cat", "secret"], ["PATH=/bin"])]
        assert box.run(steps, leaked=leaked).output == SECRET
    finally:
        os.close(leaked)
