"""A part of the cgroup hierarchy that was delegated to the user: limits hold, as far as its controllers go.

The machine may be one with version 1: the laboratory then shows the version 2 hierarchy in its place, which such a machine
has too, be it without controllers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.homestead import IMAGE, UID, Homestead, homestead, inspected, with_image
from tests.lab import wait_until

ROOT = "/sys/fs/cgroup"


@pytest.fixture(scope="module")
def home() -> Iterator[Homestead]:
    yield from homestead()


@pytest.fixture(scope="module")
def group(home: Homestead) -> Iterator[Path]:
    """The delegated group, as the laboratory sees it, and a shell command's way into it."""
    script = f"umount -R -l {ROOT} 2>/dev/null; mount -t cgroup2 cgroup2 {ROOT}"
    if home.lab.run("sh", "-c", script, check=False).returncode:
        pytest.skip("this kernel has no version 2 of cgroups")
    seen = Path(f"/proc/{home.lab.pid}/root{ROOT}") / f"firkin-test-{os.getpid()}"
    seen.mkdir()
    for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        os.chown(seen / name, UID, UID)
    yield seen
    for directory, _, _ in os.walk(seen, topdown=False):
        wait_until(lambda at=directory: removed(at), 10)


def removed(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def engine(home: Homestead, group: Path) -> Iterator[Homestead]:
    join = f'echo $$ > {ROOT}/{group.name}/cgroup.procs; exec "$@"'
    yield with_image(home.start(before=("sh", "-c", join, "sh")))
    home.stop()


def test_setup_finds_it(engine: Homestead, group: Path) -> None:
    join = f'echo $$ > {ROOT}/{group.name}/daemon/cgroup.procs; exec "$@"'
    argv = ["sh", "-c", join, "sh", "setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
    done = engine.lab.run(*argv, str(Path(__file__).parents[2] / "firkin"), "rootless", "setup", env=engine.env)
    assert "ok       cgroups: a part of the hierarchy is delegated" in done.stdout


def test_containers_are_in_groups_of_their_own(engine: Homestead, group: Path) -> None:
    engine.firkin("run", "-d", "--name", "one", IMAGE, "sleep", "1000")
    record = inspected(engine, "one")
    procs = group / "firkin" / record["Id"] / "cgroup.procs"
    assert procs.read_text().split() == [str(record["State"]["Pid"])]
    info = json.loads(engine.firkin("info", "--format", "json").stdout)
    assert (info["CgroupDriver"], info["CgroupVersion"]) == ("cgroupfs", "2")
    assert not any("without cgroups" in text for text in info["Warnings"] or ())  # of controllers, there may be few
    view = engine.firkin("exec", "one", "sh", "-c", "cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs").stdout.split()
    assert [line for line in view if line.startswith("0::")] == ["0::/"] and "1" in view
    engine.firkin("rm", "-f", "one")
    wait_until(lambda: not procs.parent.exists())


def test_pause_freezes(engine: Homestead, group: Path) -> None:
    engine.firkin("run", "-d", "--name", "ice", IMAGE, "sleep", "1000")
    events = group / "firkin" / inspected(engine, "ice")["Id"] / "cgroup.events"
    engine.firkin("pause", "ice")
    assert "frozen 1" in events.read_text()
    engine.firkin("unpause", "ice")
    assert "frozen 0" in events.read_text()
    engine.firkin("rm", "-f", "ice")


def test_a_limit_holds(engine: Homestead, group: Path) -> None:
    if "pids" not in (group / "cgroup.controllers").read_text().split():
        pytest.skip("the version 2 hierarchy of this machine has no pids controller")
    shown = engine.firkin("run", "--rm", "--pids-limit", "7", IMAGE, "cat", "/sys/fs/cgroup/pids.max").stdout
    assert shown == "7\n"


def test_a_new_daemon_goes_on_with_it(engine: Homestead, group: Path) -> None:
    engine.firkin("run", "-d", "--name", "two", IMAGE, "sleep", "1000")
    engine.kill()
    engine.start()
    engine.firkin("pause", "two")
    engine.firkin("unpause", "two")
    engine.firkin("rm", "-f", "two")
