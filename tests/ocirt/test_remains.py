"""Containers of which not everything is there, or nothing moves: they can be killed and deleted. On runc too, where it can."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime, cgroups_called

Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def group(bundle: Bundle) -> Iterator[str]:
    """The name of a group of this container's own. (A runc that was killed leaves one in the hierarchy of systemd's.)"""
    name = f"firkin-remains-{os.getpid()}"
    bundle.config["linux"]["cgroupsPath"] = f"/{name}"
    yield name
    for directory in cgroups_called(name):
        with contextlib.suppress(OSError):
            directory.rmdir()


def share_processes(bundle: Bundle) -> None:
    namespaces = bundle.config["linux"]["namespaces"]
    bundle.config["linux"]["namespaces"] = [one for one in namespaces if one["type"] != "pid"]


def members(group: str) -> list[int]:
    files = [directory / "cgroup.procs" for directory in cgroups_called(group)]
    return sorted({int(pid) for file in files if file.exists() for pid in file.read_text().split()})


def set_frozen(group: str) -> None:
    for directory in cgroups_called(group):
        for name, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
            if (directory / name).exists():
                (directory / name).write_text(word)
                return
    pytest.skip("there is nothing to freeze a group with")


def test_a_create_that_was_killed(runtime: Runtime, bundle: Bundle, group: str, wait_for: Wait) -> None:
    """By its own hook; whoever waited for it ends as well, and all is gone."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -KILL $PPID"], "env": ["PATH=/usr/bin:/bin"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    runtime.create(bundle, check=-signal.SIGKILL)
    runtime.call("delete", "--force", "box")
    wait_for(lambda: not members(group))
    assert runtime.ids() == [] and not (runtime.root / "box").exists()


@pytest.mark.parametrize("record", [None, "", "{", "[]"])
def test_a_record_that_is_not_there_or_not_whole(
    oci: Runtime, bundle: Bundle, group: str, wait_for: Wait, record: str | None
) -> None:
    oci.create(bundle)
    os.kill(oci.state()["pid"], signal.SIGKILL)
    wait_for(lambda: not members(group))
    state = oci.root / "box/state.json"
    if record is None:
        state.unlink()
    else:
        state.write_text(record)
    assert cgroups_called(group)
    oci.call("delete", "box", check=1)
    oci.call("delete", "--force", "box")
    assert not (oci.root / "box").exists() and cgroups_called(group) == []


def test_a_configuration_that_is_not_there(oci: Runtime, bundle: Bundle, group: str) -> None:
    oci.create(bundle)
    (oci.root / "box/config.json").unlink()
    oci.call("delete", "--force", "box")
    assert oci.ids() == [] and cgroups_called(group) == []


def test_a_group_that_is_somebody_elses_stays(oci: Runtime, bundle: Bundle, group: str) -> None:
    oci.run(bundle.sh("exec sleep 1000"), "--detach", name="other")
    (oci.root / "half").mkdir()
    (oci.root / "half/config.json").write_text((bundle.path / "config.json").read_text())
    oci.call("delete", "--force", "half")
    assert oci.state("other")["status"] == "running" and cgroups_called(group)


def test_a_paused_container_is_killed(runtime: Runtime, bundle: Bundle, group: str) -> None:
    runtime.run(bundle.sh("exec sleep 1000"), "--detach")
    runtime.call("pause", "box")
    runtime.call("kill", "box", "KILL")
    runtime.await_status("stopped")
    runtime.call("delete", "box")
    assert cgroups_called(group) == []


@pytest.mark.parametrize("words", [["delete", "--force", "box"], ["delete", "box"]])
def test_frozen_processes_that_the_first_one_left(
    runtime: Runtime, bundle: Bundle, group: str, wait_for: Wait, words: list[str]
) -> None:
    """In the host's pid namespace they outlive it."""
    share_processes(bundle)
    runtime.run(bundle.sh("sleep 1000 & exec sleep 2000"), "--detach")
    wait_for(lambda: len(members(group)) == 2)
    first = runtime.state()["pid"]
    (left,) = [pid for pid in members(group) if pid != first]
    os.kill(first, signal.SIGKILL)
    runtime.await_status("stopped")
    set_frozen(group)
    runtime.call(*words)
    wait_for(lambda: not Path(f"/proc/{left}/stat").exists() or Path(f"/proc/{left}/stat").read_text().split()[2] == "Z")
    wait_for(lambda: cgroups_called(group) == [])


def test_the_end_of_the_first_is_the_end_of_all(oci: Runtime, bundle: Bundle, group: str, wait_for: Wait) -> None:
    """In the host's pid namespace too, as with runc since 1.2; other signals are for the first one alone."""
    share_processes(bundle)
    script = "trap '' TERM; sleep 1000 & trap 'echo heard' TERM; while :; do wait; done"
    oci.run(bundle.sh(script), "--detach")
    wait_for(lambda: len(members(group)) == 2)
    oci.call("kill", "box", "TERM")
    oci.call("kill", "box", "0")
    assert len(members(group)) == 2
    oci.call("kill", "box", "KILL")
    wait_for(lambda: not members(group))
    oci.await_status("stopped")
    assert "not running" in oci.call("kill", "box", "KILL", check=1).stderr


def test_a_group_that_was_there_before_is_not_killed(oci: Runtime, bundle: Bundle, group: str, wait_for: Wait) -> None:
    share_processes(bundle)
    oci.run(bundle.sh("exec sleep 1000"), "--detach", name="first")
    oci.run(bundle.sh("exec sleep 1000"), "--detach", name="second")
    oci.call("kill", "second", "KILL")
    oci.await_status("stopped", "second")
    assert oci.state("first")["status"] == "running"


def test_all_of_a_frozen_group_are_killed(runtime: Runtime, bundle: Bundle, group: str, wait_for: Wait) -> None:
    share_processes(bundle)
    runtime.run(bundle.sh("sleep 1000 & exec sleep 2000"), "--detach")
    wait_for(lambda: len(members(group)) == 2)
    runtime.call("pause", "box")
    runtime.call("kill", "--all", "box", "KILL")
    wait_for(lambda: not members(group))
    runtime.call("delete", "box")
