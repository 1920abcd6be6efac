"""The runtime specification's life cycle: commands, states, what they refuse, what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime, cgroups_called

Wait = Callable[[Callable[[], object]], None]


def test_run_returns_the_programs_exit_code_and_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    name = f"gone-{os.getpid()}"
    assert runtime.run(bundle.sh("echo hello; exit 7"), name=name, check=7).stdout == "hello\n"
    assert runtime.ids() == []
    assert cgroups_called(name) == []


def test_a_signal_that_ends_the_program_is_128_more(runtime: Runtime, bundle: Bundle) -> None:
    runtime.run(bundle.sh("kill -9 $$ 2>/dev/null; true; exec sh -c 'ulimit -c 0; kill -SEGV $$'"), check=None)
    bundle.config["linux"]["namespaces"] = [one for one in bundle.config["linux"]["namespaces"] if one["type"] != "pid"]
    runtime.run(bundle.sh("kill -TERM $$"), check=128 + signal.SIGTERM)


def test_the_states_in_turn(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"org.example.key": "value"}
    runtime.create(bundle.sh("sleep 100"))
    state = runtime.state()
    assert (state["id"], state["status"], state["bundle"]) == ("box", "created", str(bundle.path))
    assert state["annotations"]["org.example.key"] == "value"
    assert Path(f"/proc/{state['pid']}").exists() and "sleep" not in Path(f"/proc/{state['pid']}/cmdline").read_text()
    runtime.call("start", "box")
    assert runtime.state()["status"] == "running"
    assert Path(f"/proc/{state['pid']}/comm").read_text() == "sh\n" or "sleep" in Path(f"/proc/{state['pid']}/comm").read_text()
    runtime.call("pause", "box")
    assert runtime.state()["status"] == "paused"
    runtime.call("resume", "box")
    runtime.call("kill", "box", "KILL")
    runtime.await_status("stopped")
    assert runtime.state()["pid"] == 0
    runtime.call("delete", "box")
    assert runtime.call("state", "box", check=1).stderr.strip().endswith('"container does not exist"')


def test_the_program_does_not_run_before_start(runtime: Runtime, bundle: Bundle, rootfs: Path, wait_for: Wait) -> None:
    runtime.create(bundle.sh("touch /ran"))
    time.sleep(0.2)
    assert not (rootfs / "ran").exists()
    runtime.call("start", "box")
    wait_for((rootfs / "ran").exists)


def test_a_later_change_of_the_bundle_has_no_effect(runtime: Runtime, bundle: Bundle, rootfs: Path, wait_for: Wait) -> None:
    runtime.create(bundle.sh("echo old > /said"))
    bundle.sh("echo new > /said").write()
    runtime.call("start", "box")
    runtime.await_status("stopped")
    assert (rootfs / "said").read_text() == "old\n"


@pytest.mark.parametrize("verb", ["start", "pause", "resume", "exec"])
def test_a_stopped_container_refuses(runtime: Runtime, bundle: Bundle, verb: str) -> None:
    runtime.run(bundle, "--detach")
    runtime.await_status("stopped")
    words = ("box", "true") if verb == "exec" else ("box",)
    runtime.call(verb, *words, check=255 if verb == "exec" else 1)
    assert runtime.state()["status"] == "stopped"


def test_a_running_container_is_not_started_created_or_deleted_again(runtime: Runtime, bundle: Bundle) -> None:
    runtime.run(bundle.sh("sleep 100"), "--detach")
    runtime.call("start", "box", check=1)
    runtime.create(bundle, check=1)
    assert "running" in runtime.call("delete", "box", check=1).stderr
    assert runtime.state()["status"] == "running"
    runtime.call("delete", "--force", "box")
    assert runtime.ids() == []


def test_a_created_container_can_be_deleted(runtime: Runtime, bundle: Bundle) -> None:
    name = f"created-{os.getpid()}"
    runtime.create(bundle, name=name)
    pid = runtime.state(name)["pid"]
    runtime.call("delete", name)
    assert not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    assert cgroups_called(name) == []


def test_a_killed_paused_container_ends(runtime: Runtime, bundle: Bundle) -> None:
    runtime.run(bundle.sh("sleep 100"), "--detach")
    runtime.call("pause", "box")
    runtime.call("kill", "box", "KILL")
    runtime.await_status("stopped")


@pytest.mark.parametrize("word", ["TERM", "SIGTERM", "15", "term"])
def test_signals_have_names_and_numbers(runtime: Runtime, bundle: Bundle, rootfs: Path, word: str, wait_for: Wait) -> None:
    runtime.run(bundle.sh("trap 'echo got > /said; exit' TERM; touch /ready; while :; do sleep 0.01; done"), "--detach")
    wait_for((rootfs / "ready").exists)
    runtime.call("kill", "box", word)
    runtime.await_status("stopped")
    assert (rootfs / "said").read_text() == "got\n"


def test_kill_all_reaches_everybody(runtime: Runtime, bundle: Bundle, wait_for: Wait) -> None:
    """Here in the host's pid namespace, where the first process's end ends nobody else."""
    bundle.config["linux"]["namespaces"] = [one for one in bundle.config["linux"]["namespaces"] if one["type"] != "pid"]
    bundle.config["linux"]["cgroupsPath"] = path = f"/all-{os.getpid()}"
    runtime.run(bundle.sh("sleep 54321 & sleep 54321 & exec sleep 54321"), "--detach")
    group = next(one for one in cgroups_called(path[1:]) if one.parent.name == "pids" or one.parent.name == "cgroup")
    wait_for(lambda: len((group / "cgroup.procs").read_text().split()) == 3)
    runtime.call("kill", "--all", "box", "KILL")
    wait_for(lambda: not (group / "cgroup.procs").read_text())
    runtime.await_status("stopped")
    runtime.call("delete", "box")
    assert cgroups_called(path[1:]) == []


def test_the_pid_file_holds_the_pid(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    runtime.create(bundle, "--pid-file", str(tmp_path / "pid"))
    assert (tmp_path / "pid").read_text() == str(runtime.state()["pid"])


def test_signals_are_passed_on_by_run(runtime: Runtime, bundle: Bundle, tmp_path: Path, wait_for: Wait) -> None:
    bundle.sh("trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.01; done").write()
    out = tmp_path / "out"
    with out.open("w") as stdout:
        process = subprocess.Popen(runtime.argv("run", "-b", str(bundle.path), "box"), stdout=stdout, stdin=subprocess.DEVNULL)
    wait_for(lambda: "ready" in out.read_text())
    process.terminate()
    assert process.wait(10) == 3
    assert out.read_text() == "ready\ngot\n"
    assert runtime.ids() == []


def test_keep_leaves_the_container_for_delete(runtime: Runtime, bundle: Bundle) -> None:
    if "--keep" not in runtime.call("run", "--help").stdout:
        pytest.skip("this runc has no --keep")
    runtime.run(bundle, "--keep")
    assert runtime.state()["status"] == "stopped"
    runtime.call("delete", "box")


def test_list_as_table_json_and_ids(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.call("list", "-f", "json").stdout == "null\n" or runtime.name == "runc"
    runtime.run(bundle.sh("sleep 100"), "-d")
    assert runtime.call("list", "-q").stdout == "box\n"
    (entry,) = json.loads(runtime.call("list", "--format", "json").stdout)
    assert (entry["id"], entry["status"], entry["owner"], entry["bundle"]) == ("box", "running", "root", str(bundle.path))
    head, row = runtime.call("list").stdout.splitlines()
    assert head.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split()[:3] == ["box", str(entry["pid"]), "running"]
    runtime.call("list", "-f", "xml", check=1)


def test_start_tells_what_only_execve_finds_out(oci: Runtime, bundle: Bundle, rootfs: Path) -> None:
    """With runc this is the container's log's business."""
    (rootfs / "bin/odd").write_text("neither a program nor a script\n")
    (rootfs / "bin/odd").chmod(0o755)
    bundle.config["process"]["args"] = ["odd"]
    oci.create(bundle)
    assert "exec /bin/odd: exec format error" in oci.call("start", "box", check=1).stderr
    oci.await_status("stopped")
    oci.call("delete", "box")


def test_only_one_start_gets_through(oci: Runtime, bundle: Bundle) -> None:
    oci.create(bundle.sh("sleep 100"))
    processes = [subprocess.Popen(oci.argv("start", "box"), stderr=subprocess.DEVNULL) for _ in range(5)]
    assert sorted(process.wait(20) for process in processes) == [0, 1, 1, 1, 1]
    assert oci.state()["status"] == "running"
    assert list(oci.root.rglob("*.sock*")) == []


def test_a_create_that_is_killed_leaves_no_process(oci: Runtime, bundle: Bundle, tmp_path: Path, wait_for: Wait) -> None:
    """In the middle, while a hook runs."""
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ncat > {tmp_path}/state\nsleep 100\n")
    hook.chmod(0o755)
    bundle.config["hooks"] = {"createRuntime": [{"path": str(hook)}]}
    bundle.write()
    process = subprocess.Popen(oci.argv("create", "-b", str(bundle.path), "box"), start_new_session=True)
    wait_for(lambda: (tmp_path / "state").exists() and (tmp_path / "state").read_text().endswith("}"))
    pid = json.loads((tmp_path / "state").read_text())["pid"]
    assert oci.state()["status"] == "creating"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    oci.call("delete", "box")
    assert oci.ids() == []
