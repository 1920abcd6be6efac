"""Mounts led astray: the runtime mounts in a tree that belongs to the attacker, who places links in it or swaps parts of it
meanwhile. CVE-2021-30465, CVE-2019-19921, CVE-2023-27561, CVE-2025-31133, CVE-2025-52565, CVE-2026-41579."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.linux import mount
from firkin.runtime import child, steps_mounts
from firkin.runtime.state import State
from tests.attacks.rig import IMAGE, Rig, image, swapping
from tests.runtime import test_plan_kernel
from tests.runtime.box import Box

root = test_plan_kernel.root


@pytest.mark.parametrize("target", ["/elsewhere", "/volume/of/mine", "/proc", "../../../../../../tmp"])
@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev"])
def test_a_link_where_the_kernels_files_or_devices_go(rig: Rig, tmp_path: Path, place: str, target: str) -> None:
    """What is hidden in them later would be looked for where the link leads by then; nodes would be made there."""
    (tmp_path / "of/mine").mkdir(parents=True)
    name = image(rig, "linked:1", {place: target})
    done = rig.run(f"-v{tmp_path}:/volume", name, "true")
    assert done.returncode == 125 and f"{place} must be an ordinary directory" in done.stderr
    assert os.listdir(tmp_path / "of/mine") == []
    assert rig.engine.firkin("ps", "-aq").stdout == ""


def swap_now(state: State, directory: str) -> None:
    """Have a process outside exchange what /proc leads to, and wait until it has."""
    with open(directory + "/go", "w", encoding="utf-8") as go:
        go.write("now\n")
    with open(directory + "/done", encoding="utf-8") as done:
        done.read()


@pytest.mark.parametrize("naive", [True, False], ids=["naive", "ours"])
def test_proc_behind_a_link_into_a_shared_volume(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, naive: bool
) -> None:
    """Mounted there, and moved away by another user of the volume before its files are hidden: CVE-2019-19921. What is
    hidden then are files of his making."""
    (box.image / "proc").symlink_to("/v/proc")
    (tmp_path / "volume").mkdir()
    for name in ("go", "done"):
        os.mkfifo(tmp_path / name)
    move = "read word < go; mv volume/proc volume/real; mkdir volume/proc; touch volume/proc/keys; echo > done"
    monkeypatch.setitem(child.STEPS, "swap", swap_now)
    if naive:
        monkeypatch.setattr(steps_mounts, "_plain_place", lambda state, target, create: state.place(target, create))
    bind = ("bind", str(tmp_path / "volume"), "/v", True, 0, 0, mount.MS_PRIVATE, "dir")
    proc: tuple[Any, ...] = ("mount", "proc", "proc", "/proc", 0, [], "dir")
    steps = [*box.root(), bind, proc, ("swap", str(tmp_path)), ("mask", "/proc/keys"), *box.into()]
    with subprocess.Popen(["sh", "-c", move], cwd=tmp_path) as mover:
        result = box.run([*steps, *box.become("sh", "-c", "cat /v/real/keys | wc -l")])
        mover.kill()
    if naive:
        assert int(result.output) > 0, result
    else:
        assert result.failure and "/proc must be an ordinary directory" in result.failure[2]


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
def test_a_link_where_files_of_the_engine_go(rig: Rig, name: str) -> None:
    """It leads to a file of the host's by any name it can have: followed inside, it is none."""
    up = "../" * 30
    made = image(rig, "linked:2", {f"/etc/{name}": f"{up}{rig.secret}"})
    before = rig.secret.stat()
    done = rig.run(made, "sh", "-c", f"cat /etc/{name}; echo changed > /etc/{name}")
    assert done.returncode == 0 and done.stdout and "secret" not in done.stdout
    after = rig.secret.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc/self/exe", "/proc/sys/kernel", "/proc/1/../sys", "/proc/./self"])
def test_nothing_is_mounted_into_proc(rig: Rig, tmp_path: Path, target: str) -> None:
    done = rig.run(f"-v{tmp_path}:{target}", IMAGE, "true")
    assert done.returncode == 125 and "inside /proc" in done.stderr


# --- a volume whose parts are swapped while others start with it ---------------------------------------------------
def look(state: State, victim: str) -> None:
    """Has a mount come to lie on the host's directory, as this process still sees it?"""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        if any(f" {victim} " in line for line in mounts):
            os.write(state.handed["out"], b"ESCAPED")


def naive_mount(state: State, target: str) -> None:
    """By path, after a check that no link is in it: what runc did before 1.0.0-rc95."""
    if os.path.realpath(target) == target:
        mount.mount("tmpfs", target, "tmpfs", 0)


def attacked(box: Box, tmp_path: Path, step: tuple[Any, ...], most: int) -> int:
    """How many starts it took until a mount went astray; `most` if none did."""
    volume, victim = tmp_path / "volume", tmp_path / "victim"
    (volume / "target").mkdir(parents=True)
    victim.mkdir()
    (volume / "link").symlink_to(victim)
    bind = ("bind", str(volume), "/v", True, 0, 0, mount.MS_PRIVATE, "dir")
    steps = [*box.root(), *box.mounts(), bind, step, ("look", str(victim)), ("exit", 0)]
    with swapping(volume / "target", volume / "link"):
        for turn in range(most):
            if "ESCAPED" in box.run(steps).output:
                return turn
    assert os.listdir(victim) == []
    return most


def test_a_mount_target_that_is_swapped(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(child.STEPS, "look", look)
    step: tuple[Any, ...] = ("mount", "tmpfs", "tmpfs", "/v/target", 0, [], "dir")
    assert attacked(box, tmp_path, step, 100) == 100


def test_a_naive_mount_goes_astray(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(child.STEPS, "look", look)
    monkeypatch.setitem(child.STEPS, "naive", naive_mount)
    assert attacked(box, tmp_path, ("naive", f"{box.base}/staging/v/target"), 2000) < 2000


# --- what paths are hidden behind ----------------------------------------------------------------------------------
def fake_devices(directory: Path, kind: str) -> Path:
    """A /dev of the attacker's making."""
    directory.mkdir()
    for name in ("null", "console"):
        if kind == "a link":
            (directory / name).symlink_to("/proc/sys/kernel/core_pattern")
        elif kind == "a file":
            (directory / name).write_text("not hidden\n")
    return directory


@pytest.mark.parametrize("kind", ["a link", "a file", "nothing"])
def test_paths_are_hidden_behind_the_real_null_device(rig: Rig, tmp_path: Path, kind: str) -> None:
    devices = fake_devices(tmp_path / "dev", kind)
    script = (
        "cat /proc/keys | wc -c; stat -c %t:%T /proc/keys; cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern"
    )
    found = rig.shell(script, f"-v{devices}:/dev").splitlines()
    assert found[:2] == ["0", "1:3"] and "core_pattern: Read-only file system" in found[2]


@pytest.mark.reference
@pytest.mark.parametrize("kind", ["a file", "nothing"])
def test_older_runc_hides_them_behind_what_is_called_null(root: Path, tmp_path: Path, kind: str) -> None:
    """Which is the attacker's, or nothing at all."""
    if not shutil.which("runc"):
        pytest.skip("no runc on this machine")
    version = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True).stdout
    if [int(part) for part in re.findall(r"\d+", version)[:3]] >= [1, 2, 8]:
        pytest.skip("this runc knows better")
    volume = {"type": "bind", "source": str(fake_devices(tmp_path / "dev", kind)), "destination": "/dev", "read_write": True}
    result = test_plan_kernel.run(root, "stat -c %t:%T /proc/keys", mounts=[volume], runc=True)
    assert result["out"].strip() != "1:3", result


@pytest.mark.parametrize("kind", ["a link", "a file", "nothing"])
def test_a_terminal_is_the_containers_own_device(rig: Rig, tmp_path: Path, kind: str) -> None:
    """With a /dev without a devpts there is none to be had; a file of the attacker's is not taken for one."""
    devices = fake_devices(tmp_path / "dev", kind)
    (devices / "pts").mkdir()
    (devices / "pts/ptmx").symlink_to("/proc/sys/kernel/core_pattern")
    done = rig.run("-t", f"-v{devices}:/dev", IMAGE, "tty")
    assert done.returncode == 125 and "ptmx" in done.stderr
    assert os.path.isdir(devices / "pts") and os.readlink(devices / "pts/ptmx") == "/proc/sys/kernel/core_pattern"
