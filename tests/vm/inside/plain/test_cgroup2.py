"""Control groups where there is version 2 alone: limits, accounts, and the end, over the API as clients use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

from tests.lab import wait_until
from tests.vm.inside.conftest import GROUPS, Box

M = 1 << 20
LIMITS = {
    "Memory": 64 * M,
    "MemorySwap": 96 * M,
    "MemoryReservation": 32 * M,
    "NanoCpus": 500_000_000,
    "CpuShares": 512,
    "CpusetCpus": "0",
    "CpusetMems": "0",
    "PidsLimit": 50,
    "BlkioWeight": 300,
    "BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": M}],
    "BlkioDeviceWriteIOps": [{"Path": "/dev/vda", "Rate": 100}],
}


def text(file: Path) -> str:
    return file.read_text().strip()


def flat(file: Path) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split() for line in file.read_text().splitlines())}


def test_every_limit_is_in_its_file(box: Box) -> None:
    group = box.group(box.start(host=LIMITS))
    found = {
        name: text(group / name)
        for name in ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpuset.cpus", "cpuset.mems", "pids.max")
    }
    assert found == {
        "memory.max": str(64 * M),
        "memory.swap.max": str(32 * M),
        "memory.low": str(32 * M),
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
        "cpuset.mems": "0",
        "pids.max": "50",
    }
    assert text(group / "cpu.weight") == "20"
    assert text(group / "io.max").endswith(f"rbps={M} wbps=max riops=max wiops=100")
    weights = [text(file) for name in ("io.weight", "io.bfq.weight") if (file := group / name).exists()]
    assert weights and all(weight in ("default 2930", "default 300", "300") for weight in weights)


def test_controllers_are_handed_down_and_nobody_stands_in_between(box: Box) -> None:
    group = box.group(box.start(host={"CgroupParent": "/lane-parent/deeper"}))
    assert group.parent == GROUPS / "lane-parent/deeper"
    for above in (group.parent, group.parent.parent):
        assert {"cpu", "io", "memory", "pids", "cpuset"} <= set(text(above / "cgroup.subtree_control").split())
        assert text(above / "cgroup.procs") == ""
    assert text(group / "cgroup.subtree_control") == ""


def test_a_limit_that_cannot_be_handed_down_is_an_error(box: Box) -> None:
    """A process stands in the parent, so it may not give controllers to its children ("no internal processes")."""
    parent = GROUPS / "lane-busy"
    parent.mkdir()
    process = subprocess.Popen(["sleep", "1000"])
    try:
        (parent / "cgroup.procs").write_text(str(process.pid))
        container = box.create("true", {"CgroupParent": "/lane-busy", "Memory": 64 * M})
        answer = box.call("POST", f"/containers/{container}/start", status=500)
        assert "/lane-busy/cgroup.subtree_control" in answer["message"] and "busy" in answer["message"]
        assert [entry for entry in parent.iterdir() if entry.is_dir()] == []
    finally:
        process.kill()
        process.wait()
        parent.rmdir()


def test_the_hog_dies_and_the_record_says_of_what(box: Box) -> None:
    container = box.start("x=$(head -c 100m /dev/zero | tr '\\0' x); echo survived", {"Memory": 16 * M, "MemorySwap": 16 * M})
    box.call("POST", f"/containers/{container}/wait")
    assert "survived" not in box.output(container)
    assert box.inspect(container)["State"]["OOMKilled"]


def test_one_killed_for_memory_ends_alone_unless_the_group_is_one(box: Box) -> None:
    script = "sh -c 'x=$(head -c 100m /dev/zero | tr \"\\0\" x)' ; echo rest goes on"
    limits = {"Memory": 16 * M, "MemorySwap": 16 * M}
    assert box.run(script, limits) == (0, "Killed\nrest goes on\n")
    assert box.run(script, {**limits, "CgroupConf": {"memory.oom.group": "1"}}) == (137, "")


def test_a_killed_child_is_told_of_while_the_container_lives(box: Box) -> None:
    container = box.start("tail /dev/zero; sleep 1000", {"Memory": 32 * M, "MemorySwap": 32 * M})
    wait_until(lambda: box.inspect(container)["State"]["OOMKilled"], 30)
    assert box.inspect(container)["State"]["Running"]
    asked = urllib.parse.quote(json.dumps({"container": [container], "event": ["oom"]}))
    told = box.call("GET", f"/events?since=1&until={int(time.time()) + 1}&filters={asked}")  # of one, that one alone
    assert told["Action"] == "oom" and told["Actor"]["ID"] == container


def test_swap_is_limited_apart(box: Box) -> None:
    """Of 48 MB, 32 fit in memory and 16 must go to swap: with no swap allowed the hog is killed."""
    script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=48 2>/dev/null; echo $?"
    shared = {"Memory": 32 * M, "ShmSize": 64 * M}
    assert box.run(script, {**shared, "MemorySwap": 80 * M}) == (0, "0\n")
    assert box.run(script, {**shared, "MemorySwap": 32 * M})[1] != "0\n"


def test_a_fork_bomb_stops_at_its_limit(box: Box) -> None:
    """The shell gives up when it may not fork."""
    script = "i=0; while [ $i -lt {} ]; do sleep 60 & i=$((i+1)); done; echo $i"
    code, said = box.run(script.format(40), {"PidsLimit": 10})
    assert code != 0 and "can't fork" in said
    assert box.run(script.format(8), {"PidsLimit": 10}) == (0, "8\n")


def test_devices_are_kept_by_a_program(box: Box) -> None:
    script = "mknod /tmp/disk b {} {} && head -c1 /tmp/disk >/dev/null && echo read".format(*_numbers("/dev/vda"))
    code, said = box.run(script)
    assert code != 0 and "Operation not permitted" in said
    rule = {"DeviceCgroupRules": ["b {}:{} r".format(*_numbers("/dev/vda"))]}
    assert box.run(script, rule) == (0, "read\n")
    device = [{"PathOnHost": "/dev/vda", "PathInContainer": "/dev/vda", "CgroupPermissions": "r"}]
    assert box.run("head -c1 /dev/vda >/dev/null && echo read; echo x >/dev/vda", {"Devices": device})[1].startswith("read\n")
    assert box.run("head -c1 /dev/vda >/dev/null && echo read", {"Privileged": True}) == (0, "read\n")


def test_the_rules_for_devices_are_read_back_from_the_kernel(box: Box) -> None:
    rule = {"DeviceCgroupRules": ["b {}:* r".format(_numbers("/dev/vda")[0])]}
    plain, more, all_of_them = (_device_rules(box, host) for host in ({}, rule, {"Privileged": True}))
    assert "c 1:3 rwm" in plain and "a *:* rwm" not in plain
    assert more == [*plain, "b {}:* r".format(_numbers("/dev/vda")[0])]
    assert all_of_them == ["a *:* rwm"]


def _device_rules(box: Box, host: dict[str, object]) -> list[str]:
    found: list[str] = box.call("GET", f"/firkin/containers/{box.start(host=host)}/isolation")["Group"]["Devices"]
    return found


def _numbers(path: str) -> tuple[int, int]:
    device = os.stat(path).st_rdev
    return os.major(device), os.minor(device)


def test_pausing_freezes_and_a_frozen_one_can_be_removed(box: Box) -> None:
    container = box.start("while :; do :; done")
    group = box.group(container)
    box.call("POST", f"/containers/{container}/pause")
    assert flat(group / "cgroup.events")["frozen"] == 1
    before = flat(group / "cpu.stat")["usage_usec"]
    assert flat(group / "cpu.stat")["usage_usec"] == before
    box.call("POST", f"/containers/{container}/unpause")
    assert flat(group / "cgroup.events")["frozen"] == 0
    wait_until(lambda: flat(group / "cpu.stat")["usage_usec"] > before)
    box.call("POST", f"/containers/{container}/pause")
    box.call("DELETE", f"/containers/{container}?force=1")
    assert not group.exists()


def test_a_container_sees_its_own_group_as_the_root(box: Box) -> None:
    script = "cat /proc/self/cgroup; stat -f -c %T /sys/fs/cgroup; cat /sys/fs/cgroup/memory.max; mkdir /sys/fs/cgroup/x 2>&1"
    code, said = box.run(script, {"Memory": 64 * M})
    lines = said.splitlines()
    assert (lines[0], lines[2]) == ("0::/", str(64 * M)) and code != 0 and "Read-only" in lines[3]
    container = box.start("cat /proc/self/cgroup; sleep 1000", {"CgroupnsMode": "host"})
    wait_until(lambda: box.output(container))
    assert box.output(container).strip() == f"0::/{box.group(container).relative_to(GROUPS)}"


def test_limits_change_while_it_runs(box: Box) -> None:
    container = box.start(host={"Memory": 64 * M, "MemorySwap": 64 * M})
    group = box.group(container)
    changes = {
        "Memory": 32 * M,
        "MemorySwap": 48 * M,
        "NanoCpus": 250_000_000,
        "CpuShares": 1024,
        "PidsLimit": 7,
        "CpusetCpus": "1",
    }
    box.call("POST", f"/containers/{container}/update", changes)
    names = ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max", "cpuset.cpus")
    assert [text(group / name) for name in names] == [str(32 * M), str(16 * M), "25000 100000", "39", "7", "1"]
    box.call("POST", f"/containers/{container}/update", {"MemorySwap": -1})
    assert text(group / "memory.swap.max") == "max"


def test_accounts(box: Box) -> None:
    container = box.start(
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=10 2>/dev/null; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000",
        {"Memory": 64 * M},
    )
    wait_until(lambda: box.call("GET", f"/containers/{container}/stats?stream=0&one-shot=1")["memory_stats"]["usage"] > 10 * M)
    stats = box.call("GET", f"/containers/{container}/stats?stream=0&one-shot=1")
    assert stats["memory_stats"]["limit"] == 64 * M
    assert stats["memory_stats"]["stats"]["shmem"] >= 10 * M and "max_usage" not in stats["memory_stats"]
    assert stats["pids_stats"]["current"] >= 1
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0 and "percpu_usage" not in stats["cpu_stats"]["cpu_usage"]


def test_pressure_is_told_beside_the_accounts(box: Box) -> None:
    container = box.start("while :; do :; done & while :; do :; done", {"NanoCpus": 100_000_000})

    def pressure() -> dict[str, dict[str, dict[str, float]]]:
        found = box.call("GET", f"/containers/{container}/stats?stream=0&one-shot=1")["pressure_stats"]
        assert set(found) == {"cpu", "memory", "io"}
        return found  # type: ignore[no-any-return]

    assert set(pressure()["memory"]["some"]) == {"avg10", "avg60", "avg300", "total"}
    wait_until(lambda: pressure()["cpu"]["some"]["total"] > 100_000, 20)
    shown = box.engine.firkin("stats", "--no-stream", "--format", "{{.Pressure}}", container).stdout
    assert shown.count("%") == 3


def test_a_refused_change_changes_nothing(box: Box) -> None:
    container = box.start(host={"Memory": 64 * M, "CgroupConf": {"memory.high": str(48 * M)}})
    group = box.group(container)
    box.call(
        "POST",
        f"/containers/{container}/update",
        {"PidsLimit": 9, "CgroupConf": {"memory.high": "1", "cpu.weight": "none"}},
        status=400,
    )
    assert text(group / "memory.high") == str(48 * M)
    assert box.inspect(container)["HostConfig"]["CgroupConf"] == {"memory.high": str(48 * M)}


def test_raw_keys_are_written_as_they_are(box: Box) -> None:
    container = box.start(host={"CgroupConf": {"memory.high": str(48 * M), "cpu.weight": "77", "cgroup.max.descendants": "3"}})
    group = box.group(container)
    assert [text(group / name) for name in ("memory.high", "cpu.weight", "cgroup.max.descendants")] == [str(48 * M), "77", "3"]
    assert box.inspect(container)["HostConfig"]["CgroupConf"]["memory.high"] == str(48 * M)
    box.call("POST", f"/containers/{container}/update", {"CgroupConf": {"memory.high": "max"}})
    assert text(group / "memory.high") == "max" and text(group / "cpu.weight") == "77"
    box.call("POST", f"/containers/{container}/restart?t=0")
    assert [text(group / name) for name in ("memory.high", "cpu.weight")] == ["max", "77"]


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("../memory.max", "1", 400),
        ("memory.high/x", "1", 400),
        ("cgroup.procs", "0", 400),
        ("cgroup.type", "threaded", 400),
        ("cgroup.subtree_control", "+memory", 400),
        ("nonsense.max", "1", 400),
        ("memory.nonsense", "1", 400),
        ("memory", "1", 400),
        ("memory.high", "1\n2", 400),
        ("memory.high", "many", 400),
    ],
)
def test_raw_keys_that_are_none(box: Box, key: str, value: str, status: int) -> None:
    body = {"Image": "busybox:test", "Cmd": ["true"], "HostConfig": {"CgroupConf": {key: value}}}
    got, answer = box.engine.api().call("POST", "/containers/create", body)
    if got == 201:  # what only the kernel can judge fails at the start, and leaves nothing
        container = answer["Id"]
        box._made.append(container)
        got, answer = box.engine.api().call("POST", f"/containers/{container}/start")
        assert not (GROUPS / "firkin" / container).exists()
    assert got == status and key in answer["message"], answer


def test_exec_joins_a_container_that_divides_its_group(box: Box) -> None:
    """As systemd does: the processes move to a leaf, and the container's group has none any more."""
    script = """mkdir /sys/fs/cgroup/leaf && echo 1 >/sys/fs/cgroup/leaf/cgroup.procs &&
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control && sleep 1000"""
    container = box.start(script, {"Privileged": True})
    wait_until(lambda: (box.group(container).parent / "cgroup.subtree_control").read_text().strip() == "memory")
    assert box.exec(container, "grep", "-q", "0::/leaf", "/proc/self/cgroup") == 0


def test_nobody_survives_a_container(box: Box) -> None:
    """Its processes are not in a pid namespace of its own, and one does not listen: cgroup.kill finds them all."""
    script = "sh -c 'trap \"\" TERM HUP; setsid sleep 54321 & sleep 54322' & sleep 54323"
    container = box.start(script, {"PidMode": "host"})
    group = box.group(container)
    wait_until(lambda: len(text(group / "cgroup.procs").split()) >= 3)
    pids = [int(pid) for pid in text(group / "cgroup.procs").split()]
    os.kill(box.inspect(container)["State"]["Pid"], signal.SIGKILL)
    box.call("POST", f"/containers/{container}/wait")
    wait_until(lambda: not group.exists())
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_what_the_engine_says_of_the_machine(box: Box) -> None:
    info = box.call("GET", "/info")
    assert (info["CgroupVersion"], info["CgroupDriver"]) == ("2", "cgroupfs")
    assert all(info[key] for key in ("MemoryLimit", "SwapLimit", "PidsLimit", "CpuCfsQuota", "CPUShares", "CPUSet"))
    assert "name=cgroupns" in info["SecurityOptions"] and not info["OomKillDisable"]


def test_what_version_2_lacks_is_discarded_aloud(box: Box) -> None:
    host = {"Memory": 64 * M, "MemorySwappiness": 10, "OomKillDisable": True}
    body = {"Image": "busybox:test", "Cmd": ["true"], "HostConfig": host}
    made = box.call("POST", "/containers/create", body)
    box._made.append(made["Id"])
    assert len(made["Warnings"]) == 2 and all("discarded" in text for text in made["Warnings"])
    box.call("POST", f"/containers/{made['Id']}/start")
