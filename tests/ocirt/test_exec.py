"""`exec`: another process in a container, on runc too."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime


def test_exec_joins_the_container_and_returns_its_exit_code(box: Runtime) -> None:
    done = box.call("exec", "box", "sh", "-c", "hostname; pwd; cat /proc/1/comm; echo $TERM; exit 9", check=9)
    assert done.stdout == "box\n/\nsleep\nxterm\n"


def test_exec_has_the_configurations_user_and_limits_unless_told_otherwise(box: Runtime) -> None:
    # runc 1.1 now and then loses a race for the limit of open files
    look = f"id -u; id -g; id -G; {'ulimit -n' if box.name != 'runc' else 'echo 512'}; grep -E 'CapEff|NoNewPrivs' /proc/self/status | cut -f2; pwd; echo $A"
    assert box.call("exec", "box", "sh", "-c", look).stdout.split() == ["0", "0", "0", "512", "0000000020000420", "1", "/"]
    flags = ("--user", "1000:1001", "--additional-gids", "7", "--cwd", "/tmp", "--env", "A=B", "--cap", "CAP_CHOWN")
    lines = box.call("exec", *flags, "box", "sh", "-c", look).stdout.split()
    assert lines == ["1000", "1001", "1001", "7", "512", "0000000000000000", "1", "/tmp", "B"]


def test_exec_of_a_process_file(box: Runtime, tmp_path: Path) -> None:
    process = {
        "args": ["sh", "-c", "id -u; pwd; echo $X"],
        "cwd": "/home",
        "env": ["PATH=/bin", "X=y"],
        "user": {"uid": 5, "gid": 5},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    assert box.call("exec", "--process", str(tmp_path / "process.json"), "box").stdout == "5\n/home\ny\n"


def test_exec_has_a_session_keyring_of_its_own(oci: Runtime, bundle: Bundle) -> None:
    """Beside the first process's: not the caller's."""
    bundle.config["linux"]["maskedPaths"] = []
    name = f"keys-{os.getpid()}"
    oci.run(bundle.sh("exec sleep 1000"), "-d", name=name)
    assert oci.call("exec", name, "cat", "/proc/keys").stdout.count(f"_ses.{name}") == 2


def test_exec_that_cannot(box: Runtime, tmp_path: Path) -> None:
    box.call("exec", "box", "nope", check=255)
    box.call("exec", "box", check=255)
    (tmp_path / "process.json").write_text('{"cwd": "/", "args": []}')
    box.call("exec", "-p", str(tmp_path / "process.json"), "box", check=255)
    box.call("exec", "--cwd", "/nowhere", "box", "true", check=255)


def test_exec_detached_writes_its_pid(box: Runtime, tmp_path: Path) -> None:
    box.call("exec", "--detach", "--pid-file", str(tmp_path / "pid"), "box", "sleep", "1000")
    pid = int((tmp_path / "pid").read_text())
    assert pid != box.state()["pid"]
    assert "sleep" in Path(f"/proc/{pid}/cmdline").read_text()
    for kind in ("mnt", "uts", "pid", "net", "ipc"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/{box.state()['pid']}/ns/{kind}")


def test_exec_in_a_paused_container_waits_only_when_told_to(box: Runtime) -> None:
    box.call("pause", "box")
    assert "paused" in box.call("exec", "box", "true", check=255).stderr
    process = subprocess.Popen(box.argv("exec", "--ignore-paused", "box", "true"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    box.call("resume", "box")
    assert process.wait(10) == 0


def test_a_capability_is_ambient_where_the_container_lets_it_be(runtime: Runtime, bundle: Bundle) -> None:
    """A user who is not root has the added one, if the container itself made it inheritable; else it is in the sets only."""
    sets = bundle.config["process"]["capabilities"]
    sets["inheritable"] = ["CAP_KILL"]
    runtime.run(bundle.sh("exec sleep 1000"), "--detach")
    words = ["exec", "--user", "1000:1000", "--cap", "CAP_KILL", "--cap", "CAP_CHOWN", "box", "cat", "/proc/self/status"]
    rows = dict(line.split(":\t") for line in runtime.call(*words).stdout.splitlines() if line.startswith("Cap"))
    kill, chown = 1 << 5, 1 << 0
    assert int(rows["CapAmb"], 16) == int(rows["CapEff"], 16) == kill
    assert int(rows["CapBnd"], 16) & (kill | chown) == kill | chown


def test_exec_in_a_created_container(runtime: Runtime, bundle: Bundle) -> None:
    runtime.create(bundle)
    assert runtime.call("exec", "box", "hostname").stdout == "box\n"
    assert runtime.state()["status"] == "created"


def test_exec_is_in_the_containers_groups(box: Runtime) -> None:
    pid = box.state()["pid"]
    own = [line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if ":pids:" in line or line.startswith("0::")]
    inside = box.call("exec", "box", "cat", "/proc/self/cgroup").stdout.splitlines()
    assert set(own) <= set(inside)
