"""What a configuration says of its process's place in the kernel: clocks, scheduling, memory nodes, labels, limits, ids.

Each field is read back from the kernel inside; runc is asked too where Debian's version (1.1) knows the field. (crun 1.8
knows time namespaces, but does not get a container with one going.)
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.ocirt.conftest import Bundle, Runtime


@pytest.fixture(autouse=True)
def own_cgroup(bundle: Bundle) -> None:
    """Whoever else runs a container called "box" on this machine has another."""
    bundle.config["linux"]["cgroupsPath"] = f"/firkin-spec-{os.getpid()}"


KERNEL = tuple(int(number) for number in os.uname().release.split("-")[0].split(".")[:2])


def lines(runtime: Runtime, bundle: Bundle) -> list[str]:
    return runtime.run(bundle).stdout.splitlines()


def refused(runtime: Runtime, bundle: Bundle) -> str:
    """What it says; nothing is left of the container."""
    done = runtime.run(bundle, check=1)
    assert runtime.ids() == []
    return done.stderr


# --- clocks --------------------------------------------------------------------------------------------------------
def shifted(bundle: Bundle) -> Bundle:
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"monotonic": {"secs": 7200, "nanosecs": 5}, "boottime": {"secs": 1_000_000}}
    return bundle.sh("tr -s ' ' < /proc/self/timens_offsets; cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time")


def test_clocks_are_shifted(oci: Runtime, bundle: Bundle) -> None:
    before = float(Path("/proc/uptime").read_text().split()[0])
    monotonic, boottime, uptime, namespace = lines(oci, shifted(bundle))
    assert (monotonic, boottime) == ("monotonic 7200 5", "boottime 1000000 0")
    assert 999_999 <= int(uptime) - before < 1_000_060
    assert namespace != os.readlink("/proc/self/ns/time")


def test_a_time_namespace_without_offsets(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.sh("tr -s ' ' < /proc/self/timens_offsets; readlink /proc/self/ns/time")
    *offsets, namespace = lines(oci, bundle)
    assert offsets == ["monotonic 0 0", "boottime 0 0"]
    assert namespace != os.readlink("/proc/self/ns/time")


def test_clocks_of_a_time_namespace_that_exists(oci: Runtime, bundle: Bundle) -> None:
    shifted(bundle).sh("sleep 60")
    oci.run(bundle, "--detach", name="first")
    pid = oci.state("first")["pid"]
    del bundle.config["linux"]["timeOffsets"]
    bundle.config["linux"]["namespaces"][-1]["path"] = f"/proc/{pid}/ns/time"
    bundle.sh("readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime")
    namespace, uptime = lines(oci, bundle)
    assert namespace == os.readlink(f"/proc/{pid}/ns/time") and int(uptime) > 1_000_000
    added = oci.call("exec", "first", "cat", "/proc/uptime").stdout
    assert float(added.split(".")[0]) > 1_000_000, "exec is not in the container's time namespace"


def test_clocks_in_a_user_namespace(oci: Runtime, bundle: Bundle) -> None:
    """New, and joined by path, where the child is born by way of a process in between."""
    maps = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.config["linux"].update(uidMappings=maps, gidMappings=maps)
    bundle.config["linux"]["namespaces"].append({"type": "user"})
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] != "/sys"]
    assert lines(oci, shifted(bundle))[0] == "monotonic 7200 5"
    bundle.sh("sleep 60")
    oci.run(bundle, "--detach", name="first")
    joined = f"/proc/{oci.state('first')['pid']}/ns/user"
    for one in bundle.config["linux"]["namespaces"]:
        one.update({"path": joined} if one["type"] == "user" else {})
    for field in ("uidMappings", "gidMappings"):
        del bundle.config["linux"][field]
    bundle.config["linux"]["cgroupsPath"] += "-second"
    bundle.sh("tr -s ' ' < /proc/self/timens_offsets; readlink /proc/self/ns/user")
    assert lines(oci, bundle) == ["monotonic 7200 5", "boottime 1000000 0", os.readlink(joined)]


def test_a_clock_that_would_be_negative_is_refused(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["namespaces"].append({"type": "time"})
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": -(1 << 40)}}
    assert "timens_offsets" in refused(oci, bundle)
    bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 5}}
    assert oci.run(bundle.sh("true")).returncode == 0


# --- scheduling ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("scheduler", "seen"),  # fields 18 (priority), 19 (nice), 40 (real-time priority) and 41 (policy) of proc_pid_stat(5)
    [
        ({"policy": "SCHED_OTHER", "nice": 5}, "25 5 0 0"),
        ({"policy": "SCHED_BATCH", "nice": -3}, "17 -3 0 3"),
        ({"policy": "SCHED_IDLE"}, "20 0 0 5"),
        ({"policy": "SCHED_FIFO", "priority": 7}, "-8 0 7 1"),
        ({"policy": "SCHED_RR", "priority": 1}, "-2 0 1 2"),
        ({"policy": "SCHED_RR", "priority": 9, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, "-10 0 9 2"),
        ({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 10_000_000, "period": 10_000_000}, "-101 0 0 6"),
    ],
)
def test_scheduling(oci: Runtime, bundle: Bundle, scheduler: dict[str, Any], seen: str) -> None:
    """The shell's own: with some policies it may not fork."""
    bundle.config["process"]["scheduler"] = scheduler
    if Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():  # RT_GROUP_SCHED: a new group has no time for it
        bundle.config["linux"]["resources"]["cpu"] = {"realtimeRuntime": 20_000, "realtimePeriod": 1_000_000}
    script = "read -r line < /proc/self/stat; set -- ${line##*)}; shift 15; echo $1 $2 ${23} ${24}"
    assert lines(oci, bundle.sh(script)) == [seen]


def test_a_policy_that_no_kernel_has_is_a_clear_error(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["process"]["scheduler"] = {"policy": "SCHED_ISO"}
    assert "schedule as iso: sched_setattr: invalid argument" in refused(oci, bundle)


@pytest.mark.parametrize(
    ("priority", "seen"),
    [
        ({"class": "IOPRIO_CLASS_RT", "priority": 2}, "realtime: prio 2"),
        ({"class": "IOPRIO_CLASS_BE", "priority": 6}, "best-effort: prio 6"),
        ({"class": "IOPRIO_CLASS_IDLE"}, "idle"),
    ],
)
def test_io_priority(oci: Runtime, bundle: Bundle, priority: dict[str, Any], seen: str) -> None:
    bundle.config["process"]["ioPriority"] = priority
    assert lines(oci, bundle.sh("busybox ionice"))[0].startswith(seen)


# --- memory nodes --------------------------------------------------------------------------------------------------
def numa() -> bool:
    return Path("/proc/self/numa_maps").exists()


@pytest.mark.skipif(not numa(), reason="this kernel knows no memory nodes (NUMA)")
@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        ({"mode": "MPOL_DEFAULT"}, "default"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0"}, "prefer (many):0"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "interleave=static:0"),
        ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0-0"}, "weighted interleave:0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "bind=relative:0"),
    ],
)
def test_memory_policy(oci: Runtime, bundle: Bundle, policy: dict[str, Any], seen: str) -> None:
    bundle.config["linux"]["memoryPolicy"] = policy
    if policy["mode"] == "MPOL_WEIGHTED_INTERLEAVE" and KERNEL < (6, 9):
        pytest.skip("this kernel has no MPOL_WEIGHTED_INTERLEAVE, which Linux 6.9 brought")
    first = lines(oci, bundle.sh("cat /proc/self/numa_maps"))[0]
    assert first.split(" ", 1)[1].startswith(seen + " ")


@pytest.mark.skipif(not numa(), reason="this kernel knows no memory nodes (NUMA)")
def test_memory_of_a_node_that_is_not_there_is_refused(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "63"}
    assert "allocate memory from node 63 (MPOL_BIND): set_mempolicy: invalid argument" in refused(oci, bundle)


# --- processors ----------------------------------------------------------------------------------------------------
def test_affinity_of_a_process_that_joins(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("this machine has one processor")
    oci.run(bundle.sh("sleep 60"), "--detach")
    spec = dict(bundle.config["process"], args=["grep", "Cpus_allowed_list", "/proc/self/status"])
    seen = []
    for affinity in ({}, {"initial": "0"}, {"initial": "0", "final": "1"}, {"final": "0-1"}):
        spec["execCPUAffinity"] = affinity
        path = tmp_path / "process.json"
        path.write_text(json.dumps(spec))
        seen.append(oci.call("exec", "--process", str(path), "box").stdout.split()[-1])
    assert seen[0] == seen[3] and seen[2] == "1"
    assert seen[1] in ("0", seen[0])  # kernels before 6.2 forget it when the process enters a cpuset


# --- labels --------------------------------------------------------------------------------------------------------
def test_a_profile_where_there_is_no_apparmor_is_refused(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    if Path("/sys/module/apparmor/parameters/enabled").exists():
        pytest.skip("this kernel has AppArmor; tests/vm runs containers with it")
    bundle.config["process"]["apparmorProfile"] = "docker-default"
    assert "AppArmor is not enabled in this kernel" in refused(oci, bundle)
    assert "apparmor" in refused(runc, bundle).lower()


def test_a_label_where_there_is_no_selinux_is_refused(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    if Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("SELinux is on")
    bundle.config["process"]["selinuxLabel"] = "system_u:system_r:container_t:s0"
    assert "SELinux is not enabled in this kernel" in refused(oci, bundle)
    assert "selinux" in refused(runc, bundle).lower()


def test_a_mount_label_reaches_the_file_systems(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    """The kernel without SELinux refuses it, of whatever runtime."""
    if Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("SELinux is on")
    bundle.config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
    assert "context" in refused(oci, bundle)
    refused(runc, bundle)


# --- the rest ------------------------------------------------------------------------------------------------------
def test_personality(oci: Runtime, bundle: Bundle) -> None:
    machines = []
    for domain in ("LINUX", "LINUX32"):
        bundle.config["linux"]["personality"] = {"domain": domain}
        machines += lines(oci, bundle.sh("uname -m"))
    assert machines[0] == os.uname().machine and machines[1] != machines[0]


def test_a_hard_limit_that_may_not_be_raised_is_refused(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 1 << 40, "hard": 1 << 40}]
    for runtime in (oci, runc):
        assert "operation not permitted" in refused(runtime, bundle)


def test_an_oom_score_that_may_not_be_lowered_is_refused(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    held = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff")).split()[1], 16
    )
    if held >> 24 & 1:
        pytest.skip("this process has CAP_SYS_RESOURCE and may lower it")
    bundle.config["process"]["oomScoreAdj"] = -500
    for runtime in (oci, runc):
        assert "oom" in refused(runtime, bundle).lower()


def test_capabilities_that_cannot_be_had_are_warned_about(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    """As the specification demands; the process runs with the others."""
    bundle.config["process"]["capabilities"] = {
        "bounding": ["CAP_KILL", "CAP_OF_TOMORROW"],
        "permitted": ["CAP_KILL"],
        "effective": ["CAP_KILL"],
    }
    bundle.sh("grep -E 'CapBnd|CapEff' /proc/self/status")
    ours, theirs = oci.run(bundle), runc.run(bundle)
    assert ours.stdout == theirs.stdout
    assert "process.capabilities.bounding: ignoring unknown CAP_OF_TOMORROW" in ours.stderr
    assert "CAP_OF_TOMORROW" in theirs.stderr


def test_effective_capabilities_are_permitted_ones(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["process"]["capabilities"] = {"bounding": ["CAP_KILL"], "permitted": [], "effective": ["CAP_KILL"]}
    assert lines(oci, bundle.sh("grep CapEff /proc/self/status")) == ["CapEff:\t0000000000000000"]
