"""ps, update, events and cgroups: what a container uses and may use. Each on runc too, where runc 1.1 can."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ocirt.conftest import Bundle, Runtime, cgroups_called

Wait = Callable[[Callable[[], object]], None]


# --- ps, update, events ----------------------------------------------------------------------------------------------
def test_ps_shows_the_containers_processes_only(box: Runtime) -> None:
    pid = box.state()["pid"]
    assert json.loads(box.call("ps", "--format", "json", "box").stdout) == [pid]
    head, row = box.call("ps", "box").stdout.splitlines()
    assert "PID" in head and row.split()[1] == str(pid) and row.endswith("sleep 1000")
    head, row = box.call("ps", "box", "-o", "pid,comm").stdout.splitlines()
    assert row.split() == [str(pid), "sleep"]
    box.call("ps", "-f", "xml", "box", check=1)


def limit(runtime: Runtime, controller: str, name: str) -> str:
    for line in Path(f"/proc/{runtime.state()['pid']}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{name}").read_text().strip()
    pytest.skip(f"no version 1 {controller} controller here")


def test_update_by_flags(box: Runtime) -> None:
    box.call("update", "--memory", "64m", "--memory-swap", "128m", "--pids-limit", "20", "--cpu-share", "512", "box")
    assert limit(box, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert limit(box, "memory", "memory.memsw.limit_in_bytes") == str(128 << 20)
    assert limit(box, "pids", "pids.max") == "20"
    assert limit(box, "cpu", "cpu.shares") == "512"
    box.call("update", "--memory", "256m", "--memory-swap", "512m", "--cpu-quota", "50000", "--cpu-period", "100000", "box")
    assert limit(box, "memory", "memory.limit_in_bytes") == str(256 << 20)
    assert limit(box, "cpu", "cpu.cfs_quota_us") == "50000"
    assert limit(box, "pids", "pids.max") == "20"


def test_update_of_what_newer_runtimes_know(oci: Runtime, bundle: Bundle) -> None:
    """`--cpu-burst` and `--cpu-idle`, of runc 1.2 and later. Zero is a value of either."""
    oci.run(bundle.sh("exec sleep 1000"), "--detach")
    for burst, idle in (("1000", "1"), ("0", "0")):
        oci.call("update", "--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", burst, "box")
        oci.call("update", "--cpu-idle", idle, "box")
        assert limit(oci, "cpu", "cpu.cfs_burst_us") == burst
        assert limit(oci, "cpu", "cpu.idle") == idle


@pytest.mark.parametrize("standard_input", [False, True])
def test_update_from_a_file_leaves_what_is_zero(box: Runtime, tmp_path: Path, standard_input: bool) -> None:
    box.call("update", "--cpu-share", "300", "box")
    wanted = {
        "memory": {"limit": 32 << 20, "swap": 0},
        "cpu": {"shares": 0, "cpus": ""},
        "pids": {"limit": 11},
        "blockIO": {"weight": 0},
    }
    file = tmp_path / "resources"
    file.write_text(json.dumps(wanted))
    with file.open() as stdin:
        box.call("update", "-r", "-" if standard_input else str(file), "box", stdin=stdin)
    assert limit(box, "memory", "memory.limit_in_bytes") == str(32 << 20)
    assert limit(box, "pids", "pids.max") == "11"
    assert limit(box, "cpu", "cpu.shares") == "300"


def test_update_that_cannot(box: Runtime) -> None:
    box.call("update", "--memory", "much", "box", check=1)
    box.call("update", "--cpuset-cpus", "4000", "box", check=1)
    box.call("update", "-r", "/nowhere", "box", check=1)


def test_events_stats(box: Runtime) -> None:
    event = json.loads(box.call("events", "--stats", "box").stdout)
    assert (event["type"], event["id"]) == ("stats", "box")
    data = event["data"]
    assert data["cpu"]["usage"]["total"] > 0
    assert data["memory"]["usage"]["usage"] > 0 and "limit" in data["memory"]["usage"]
    assert data["pids"]["current"] == 1


def test_events_tell_of_memory_that_ran_out(runtime: Runtime, bundle: Bundle, tmp_path: Path, wait_for: Wait) -> None:
    bundle.config["linux"]["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    bundle.config["process"]["rlimits"] = []
    runtime.create(bundle.sh("sleep 0.5; head -c 64m /dev/zero | tail; sleep 1000"))
    out = tmp_path / "events"
    with out.open("w") as stdout:
        process = subprocess.Popen(runtime.argv("events", "--interval", "1s", "box"), stdout=stdout)
    try:
        runtime.call("start", "box")
        wait_for(lambda: '"type":"oom"' in out.read_text())
    finally:
        process.terminate()
        process.wait()
    assert '"type":"stats"' in out.read_text() or runtime.name == "runc"


# --- cgroups ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/oci-test/absolute", "oci-test/relative"])
def test_cgroups_path(runtime: Runtime, bundle: Bundle, path: str) -> None:
    """A relative one is below the caller's own group, in each hierarchy."""
    bundle.config["linux"]["cgroupsPath"] = path
    bundle.config["linux"]["resources"]["memory"] = {"limit": 32 << 20}
    bundle.config["linux"]["resources"]["pids"] = {"limit": 10}
    runtime.run(bundle.sh("exec sleep 1000"), "-d")
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    of_container = dict(
        line.split(":", 2)[1:] for line in Path(f"/proc/{runtime.state()['pid']}/cgroup").read_text().splitlines()
    )
    for controller in {"memory", "pids", "cpuset"} & set(own):
        above = "" if path.startswith("/") else own[controller].rstrip("/") + "/"
        assert of_container[controller] == above + path
    if "memory" in own:
        assert limit(runtime, "memory", "memory.limit_in_bytes") == str(32 << 20)
    runtime.call("delete", "-f", "box")
    assert cgroups_called(path.rpartition("/")[2]) == []
    for parent in cgroups_called("oci-test"):
        parent.rmdir()


def test_a_group_that_was_there_is_shared_and_stays_while_it_is_used(oci: Runtime, bundle: Bundle) -> None:
    """Nor are groups beside it touched, when it is the hierarchy's root."""
    bundle.config["linux"]["cgroupsPath"] = path = f"/shared-{os.getpid()}"
    oci.run(bundle.sh("exec sleep 1000"), "-d", name="first")
    before = cgroups_called(path[1:])
    oci.run(bundle.sh("true"), name="second")
    assert cgroups_called(path[1:]) == before and oci.state("first")["status"] == "running"
    oci.call("delete", "-f", "first")
    assert cgroups_called(path[1:]) == []
    if (pids := Path("/sys/fs/cgroup/pids")).exists():
        beside = pids / f"beside-{os.getpid()}"
        beside.mkdir()
        try:
            bundle.config["linux"]["cgroupsPath"] = "/"
            of_all = [file.read_text() for file in Path("/sys/fs/cgroup/devices").glob("devices.list")]
            oci.run(bundle, check=1)  # whose devices cannot be limited, nor is it tried: it would be the host's
            assert of_all == [file.read_text() for file in Path("/sys/fs/cgroup/devices").glob("devices.list")]
            assert beside.exists()
        finally:
            beside.rmdir()


def test_a_limit_no_controller_can_set_is_refused(oci: Runtime, bundle: Bundle) -> None:
    if Path("/sys/fs/cgroup/hugetlb").exists() or Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("this kernel limits huge pages")
    bundle.config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 0}]
    assert "linux.resources.hugepageLimits" in oci.run(bundle, check=1).stderr
    del bundle.config["linux"]["resources"]["hugepageLimits"]
    bundle.config["linux"]["resources"]["unified"] = {"memory.high": "1000000"}
    assert "linux.resources.unified.memory.high" in oci.run(bundle, check=1).stderr


def test_device_rules(runtime: Runtime, bundle: Bundle) -> None:
    """Nothing but the default devices and those the configuration allows."""
    numbers = {"/dev/zero": (1, 5), "/dev/fuse": (10, 229), "/dev/vsock": (10, 121)}
    bundle.config["linux"]["devices"] = [
        {"path": f"/dev/own{minor}", "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
        for major, minor in numbers.values()
    ]
    bundle.config["linux"]["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}
    )
    script = "for n in 5 229 121; do (: < /dev/own$n) 2>/dev/null && echo $n; done; true"
    assert runtime.run(bundle.sh(script)).stdout.split() == ["5", "229"]
    del bundle.config["linux"]["resources"]
    assert runtime.run(bundle.sh(script)).stdout.split() == ["5"]
