"""Health checks that take all they can: the engine runs them by itself, again and again, in a container that is hostile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.rig import IMAGE, Rig
from tests.lab import wait_until


def checked(rig: Rig, command: str, timeout: str = "500ms"):  # type: ignore[no-untyped-def]
    flags = ("--health-cmd", command, "--health-interval", "100ms", "--health-timeout", timeout, "--health-retries", "2")
    return rig.held(*flags, IMAGE, "sleep", "1000")


def failures(rig: Rig, container: str) -> int:
    return int(rig.engine.api().call("GET", f"/containers/{container}/json")[1]["State"]["Health"]["FailingStreak"])


def running(rig: Rig, container: str, command: str) -> list[int]:
    """The host's pids of those processes of a container that run `command`."""
    rows = rig.engine.api().call("GET", f"/containers/{container}/top?ps_args=-eo+pid,args")[1]["Processes"]
    return [int(pid) for pid, line in rows if line == command]


def test_probes_that_do_not_end_do_not_pile_up(rig: Rig) -> None:
    """Deaf to SIGTERM, with a child in the background, another in a session of its own, and one after the other."""
    probe = "trap '' TERM INT HUP; sleep 4711 & setsid sleep 4712; sleep 4713"
    with checked(rig, probe) as container:
        wait_until(lambda: failures(rig, container) >= 4, 60)
        left = {seconds: running(rig, container, f"sleep {seconds}") for seconds in (4711, 4712, 4713)}
        assert all(len(pids) <= 1 for pids in left.values()), left
        began = time.monotonic()
        rig.engine.firkin("stop", "-t", "1", container)
        assert time.monotonic() - began < 20
        assert not any(Path(f"/proc/{pid}").exists() for pids in left.values() for pid in pids)


def test_a_probe_that_floods_its_output(rig: Rig) -> None:
    with checked(rig, "yes flood", "4s") as container:
        wait_until(lambda: running(rig, container, "yes flood") or running(rig, container, "/bin/sh -c yes flood"), 30)
        answers, end = [], time.monotonic() + 3
        while time.monotonic() < end:
            began = time.monotonic()
            assert rig.engine.api().call("GET", f"/containers/{container}/json")[0] == 200
            answers.append(time.monotonic() - began)
        assert statistics.median(answers) < 0.5 and max(answers) < 3, answers
        wait_until(lambda: failures(rig, container) >= 2, 60)
        log = rig.engine.api().call("GET", f"/containers/{container}/json")[1]["State"]["Health"]["Log"]
        assert all(len(entry["Output"]) <= 4096 for entry in log)


def test_no_probe_beside_one_that_hangs_in_the_kernel(rig: Rig) -> None:
    """Frozen, it is as deaf to SIGKILL as one that waits for a dead disk."""
    with checked(rig, "sleep 4714") as container:
        wait_until(lambda: running(rig, container, "sleep 4714"), 30)
        with frozen(running(rig, container, "sleep 4714")[0]) as stuck:
            wait_until(lambda: failures(rig, container) >= 1, 30)
            before = failures(rig, container)
            time.sleep(2)
            assert running(rig, container, "sleep 4714") == [stuck] and failures(rig, container) == before
            assert rig.alive()
        wait_until(lambda: failures(rig, container) > before, 30)


@contextmanager
def frozen(pid: int) -> Iterator[int]:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    group = next((line.split(":", 2)[2] for line in lines if line.split(":")[1] == "freezer"), None)
    if group is None:
        pytest.skip("needs the freezer of cgroup version 1: version 2 lets SIGKILL through")
    own = Path(f"/sys/fs/cgroup/freezer{group}")
    ice = own / "ice"
    ice.mkdir()
    try:
        (ice / "cgroup.procs").write_text(str(pid))
        (ice / "freezer.state").write_text("FROZEN")
        wait_until(lambda: (ice / "freezer.state").read_text() == "FROZEN\n")
        yield pid
    finally:
        (ice / "freezer.state").write_text("THAWED")
        wait_until(lambda: not (ice / "cgroup.procs").read_text(), 30)
        ice.rmdir()
