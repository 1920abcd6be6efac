"""Configurations that cannot be meant: each is refused before anything is made, by an error naming the field.

Each is given to Debian's runc (1.1) too. Where runc starts the container all the same, `RUNS` says so: it overlooks the
field, does not know it, or trusts whoever wrote it. (It even takes an empty source of a bind mount for the bundle.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from firkin.errors import Invalid
from firkin.oci import json_text
from firkin.oci.runtime_config import Config, from_json
from firkin.runtime.validate import validate, warnings
from tests.ocirt.conftest import Bundle, Runtime, cgroups_called

Change = Callable[[dict[str, Any]], object]
REFUSES, RUNS, DEPENDS = True, False, None  # what runc does; DEPENDS on the controllers that there are


def process(**fields: Any) -> Change:
    return lambda config: config["process"].update(fields)


def linux(**fields: Any) -> Change:
    return lambda config: config["linux"].update(fields)


def resources(**fields: Any) -> Change:
    return lambda config: config["linux"]["resources"].update(fields)


def top(**fields: Any) -> Change:
    return lambda config: config.update(fields)


def mount(**fields: Any) -> Change:
    return lambda config: config["mounts"].append({"destination": "/m", "type": "tmpfs", "source": "tmpfs", **fields})


def without(kind: str, **fields: Any) -> Change:
    """Without the namespace `kind`, and with `fields` of linux."""

    def change(config: dict[str, Any]) -> None:
        config["linux"].update(fields)
        config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != kind]

    return change


def namespace(**fields: Any) -> Change:
    return lambda config: config["linux"]["namespaces"].append(fields)


def filtered(**fields: Any) -> Change:
    return linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", **fields})


def rule(**fields: Any) -> Change:
    return filtered(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", **fields}])


def both(*changes: Change) -> Change:
    return lambda config: [change(config) for change in changes]


def on_condition(**argument: Any) -> Change:
    return rule(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_EQ", **argument}])


TIME = namespace(type="time")
HUGE = 1 << 32
BROKEN: list[tuple[str, Change, bool | None]] = [
    # what every configuration has
    ("ociVersion: want 1.x.y, got 'one'", top(ociVersion="one"), RUNS),
    ("ociVersion: want 1.x.y, got '2.0.0'", top(ociVersion="2.0.0"), RUNS),
    ("ociVersion: required", lambda c: c.pop("ociVersion"), RUNS),
    ("root: required", lambda c: c.pop("root"), REFUSES),
    ("root.path: required", top(root={"path": ""}), REFUSES),
    ("process: required", lambda c: c.pop("process"), REFUSES),
    ("annotations: a key must not be empty", top(annotations={"": "x"}), RUNS),
    ("annotations.x: want a string, got an integer", top(annotations={"x": 5}), REFUSES),
    ("hostname: unable to set it without a private UTS namespace", without("uts"), REFUSES),
    ("hostname: longer than 64 bytes", top(hostname="x" * 65), REFUSES),
    # process
    ("process.cwd: must be an absolute path, got 'tmp'", process(cwd="tmp"), REFUSES),
    ("process.cwd: required", lambda c: c["process"].pop("cwd"), REFUSES),
    ("process.args: must not be empty", process(args=[]), REFUSES),
    ("process.args: must not be empty", process(args=[""]), REFUSES),
    ("process.args[1]: must not contain a zero byte", process(args=["true", "a\0b"]), REFUSES),
    ("process.env[0]: must not contain a zero byte", process(env=["A=\0"]), REFUSES),
    ("process.env[1]: want NAME=value, got 'B'", process(env=["PATH=/bin", "B"]), REFUSES),
    ("process.env[1]: want NAME=value, got '=B'", process(env=["PATH=/bin", "=B"]), REFUSES),
    ("process.user.uid: want an integer", process(user={"uid": "root", "gid": 0}), REFUSES),
    ("process.user.uid: 4294967295 stands for no id", process(user={"uid": HUGE - 1, "gid": 0}), REFUSES),
    ("process.user.gid: want an integer from 0 to", process(user={"uid": 0, "gid": -1}), REFUSES),
    (
        "process.user.additionalGids[1]: 4294967295 stands for no id",
        process(user={"uid": 0, "gid": 0, "additionalGids": [1, HUGE - 1]}),
        REFUSES,
    ),
    (
        "process.rlimits[0].type: unknown limit 'RLIMIT_FUN'",
        process(rlimits=[{"type": "RLIMIT_FUN", "soft": 1, "hard": 1}]),
        REFUSES,
    ),
    (
        "process.rlimits[1].type: RLIMIT_CPU is there twice",
        process(rlimits=[{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2),
        RUNS,
    ),
    (
        "process.rlimits[0].soft: 2 is more than the hard limit 1",
        process(rlimits=[{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]),
        REFUSES,
    ),
    ("process.rlimits[0].hard: required", process(rlimits=[{"type": "RLIMIT_CPU", "soft": 2}]), REFUSES),
    ("process.oomScoreAdj: want -1000 to 1000, got 1001", process(oomScoreAdj=1001), REFUSES),
    ("process.scheduler.policy: required", process(scheduler={"nice": 5}), RUNS),
    ("process.scheduler.policy: unknown policy 'FAST'", process(scheduler={"policy": "FAST"}), RUNS),
    ("process.scheduler.nice: want -20 to 19", process(scheduler={"policy": "SCHED_OTHER", "nice": 20}), RUNS),
    ("process.scheduler.priority: only with", process(scheduler={"policy": "SCHED_OTHER", "priority": 1}), RUNS),
    ("process.scheduler.priority: want 1 to 99", process(scheduler={"policy": "SCHED_FIFO", "priority": 100}), RUNS),
    ("process.scheduler: runtime, deadline and", process(scheduler={"policy": "SCHED_RR", "priority": 1, "runtime": 1}), RUNS),
    ("process.scheduler.flags[0]: unknown flag", process(scheduler={"policy": "SCHED_OTHER", "flags": ["X"]}), RUNS),
    ("process.ioPriority.class: unknown class 'BEST'", process(ioPriority={"class": "BEST"}), RUNS),
    ("process.ioPriority.priority: want 0 to 7", process(ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8}), RUNS),
    ("process.execCPUAffinity.final: '3-1' ends before it begins", process(execCPUAffinity={"final": "3-1"}), RUNS),
    ("process.execCPUAffinity.initial: want numbers", process(execCPUAffinity={"initial": "all"}), RUNS),
    # mounts
    ("mounts[6].destination: required", lambda c: c["mounts"].append({"type": "tmpfs"}), REFUSES),
    ("mounts[6].destination: required", mount(destination=""), REFUSES),
    ("mounts[6].type: required", mount(type=""), REFUSES),
    ("mounts[6].source: a bind mount needs one", mount(type="none", source="", options=["bind"]), RUNS),
    (
        "mounts[6].options: 'size=1k' is for file systems, and a bind mount has none of its own",
        mount(type="none", source="/tmp", options=["rbind", "size=1k"]),
        RUNS,
    ),
    ("mounts[6].options: tmpcopyup is for a tmpfs", mount(type="devpts", source="devpts", options=["tmpcopyup"]), RUNS),
    ("mounts[6].gidMappings: required", mount(uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]), RUNS),
    ("mounts[6].options: want an array", mount(options="ro"), REFUSES),
    # namespaces and what they are needed for
    ("linux.namespaces[5].type: unknown namespace 'fun'", namespace(type="fun"), REFUSES),
    ("linux.namespaces[5].type: required", namespace(path="/proc/self/ns/time"), REFUSES),
    ("linux.namespaces[5].type: uts is there twice", namespace(type="uts"), REFUSES),
    ("linux.namespaces[5].path: must be an absolute path", namespace(type="cgroup", path="ns/cgroup"), REFUSES),
    (
        "linux.uidMappings: user namespace mappings without",
        linux(uidMappings=[{"containerID": 0, "hostID": 0, "size": 1}]),
        RUNS,
    ),
    ("linux.uidMappings: required with a new user namespace", namespace(type="user"), REFUSES),
    (
        "linux.uidMappings[0].size: must be greater than zero",
        both(namespace(type="user"), linux(uidMappings=[{"containerID": 0, "hostID": 0, "size": 0}])),
        REFUSES,
    ),
    (
        "linux.uidMappings[0].size: there are not so many ids",
        both(namespace(type="user"), linux(uidMappings=[{"containerID": 5, "hostID": 0, "size": HUGE - 1}])),
        REFUSES,
    ),
    ("linux.timeOffsets: without a time namespace", linux(timeOffsets={"boottime": {"secs": 5}}), RUNS),
    (
        "linux.timeOffsets: a time namespace that exists has its own",
        both(namespace(type="time", path="/proc/self/ns/time"), linux(timeOffsets={"boottime": {"secs": 5}})),
        REFUSES,
    ),
    (
        "linux.timeOffsets.boottime.nanosecs: want less than a second",
        both(TIME, linux(timeOffsets={"boottime": {"nanosecs": 10**9}})),
        REFUSES,
    ),
    ("linux.netDevices: unable to move network devices without", without("network", netDevices={"v0": {}}), RUNS),
    ("linux.netDevices: invalid network device name 'a b'", linux(netDevices={"a b": {}}), RUNS),
    ("linux.netDevices.v0.name: invalid network device name '..'", linux(netDevices={"v0": {"name": ".."}}), RUNS),
    ("linux.netDevices.v0.name: invalid network device name", linux(netDevices={"v0": {"name": "x" * 16}}), RUNS),
    ("linux.maskedPaths: unable to hide anything without", without("mount", readonlyPaths=[]), REFUSES),
    # devices, files, parameters
    ("linux.devices[0].path: must be an absolute path", linux(devices=[{"path": "x", "type": "p"}]), RUNS),
    ("linux.devices[0].type: want one of c, b, u, p, got 'z'", linux(devices=[{"path": "/dev/x", "type": "z"}]), REFUSES),
    ("linux.devices[0].type: required", linux(devices=[{"path": "/dev/x"}]), REFUSES),
    ("linux.devices[0].minor: required", linux(devices=[{"path": "/dev/x", "type": "c", "major": 1}]), RUNS),
    (
        "linux.devices[0].major: want 0 to 4095",
        linux(devices=[{"path": "/dev/x", "type": "c", "major": 1 << 20, "minor": 1}]),
        RUNS,
    ),
    ("linux.rootfsPropagation: unknown propagation 'loud'", linux(rootfsPropagation="loud"), REFUSES),
    ("linux.maskedPaths[0]: must be an absolute path", linux(maskedPaths=["proc/kcore"]), RUNS),
    ("linux.readonlyPaths[0]: must be an absolute path", linux(readonlyPaths=["proc/sys"]), RUNS),
    ("linux.sysctl.kernel.panic: not in a separate kernel namespace", linux(sysctl={"kernel.panic": "1"}), REFUSES),
    ("linux.sysctl.kernel/hostname: not in a separate", linux(sysctl={"kernel/hostname": "x"}), REFUSES),
    (
        "linux.sysctl.net.ipv4.ip_forward: not allowed in the host's",
        without("network", sysctl={"net.ipv4.ip_forward": "1"}),
        REFUSES,
    ),
    ("linux.sysctl.kernel.shmmni: not allowed in the host's", without("ipc", sysctl={"kernel.shmmni": "1"}), REFUSES),
    ("linux.sysctl.user.max_user_namespaces: not allowed", linux(sysctl={"user.max_user_namespaces": "1"}), REFUSES),
    ("linux.personality.domain: want LINUX or LINUX32", linux(personality={"domain": "BSD"}), RUNS),
    ("linux.personality.flags: none are defined", linux(personality={"domain": "LINUX", "flags": ["X"]}), RUNS),
    ("linux.intelRdt.closID: invalid name '..'", linux(intelRdt={"closID": ".."}), REFUSES),
    ("linux.intelRdt.memBwSchema: must begin with MB:", linux(intelRdt={"memBwSchema": "L3:0=1"}), REFUSES),
    ("linux.intelRdt.schemata[0]: must not contain a newline", linux(intelRdt={"schemata": ["L3:0=1\nMB:0=1"]}), RUNS),
    ("linux.memoryPolicy.mode: unknown mode 'ANY'", linux(memoryPolicy={"mode": "ANY"}), RUNS),
    ("linux.memoryPolicy.nodes: MPOL_BIND needs at least one", linux(memoryPolicy={"mode": "MPOL_BIND"}), RUNS),
    ("linux.memoryPolicy.nodes: MPOL_LOCAL has none", linux(memoryPolicy={"mode": "MPOL_LOCAL", "nodes": "0"}), RUNS),
    ("linux.memoryPolicy.flags[0]: unknown flag", linux(memoryPolicy={"mode": "MPOL_LOCAL", "flags": ["X"]}), RUNS),
    # filters
    ("linux.seccomp.defaultAction: required", linux(seccomp={}), RUNS),
    ("linux.seccomp.defaultAction: unknown action 'SCMP_ACT_SING'", linux(seccomp={"defaultAction": "SCMP_ACT_SING"}), REFUSES),
    ("linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW does not return", filtered(defaultErrnoRet=5), RUNS),
    ("linux.seccomp.architectures[0]: unknown architecture", filtered(architectures=["SCMP_ARCH_VAX"]), REFUSES),
    ("linux.seccomp.flags[0]: unknown flag", filtered(flags=["SECCOMP_FILTER_FLAG_X"]), REFUSES),
    ("linux.seccomp.listenerMetadata: without a listenerPath", filtered(listenerMetadata="x"), RUNS),
    ("linux.seccomp.listenerPath: required by SCMP_ACT_NOTIFY", rule(action="SCMP_ACT_NOTIFY"), REFUSES),
    ("linux.seccomp.syscalls[0].names: must not be empty", rule(names=[]), RUNS),
    ("linux.seccomp.syscalls[0].action: unknown action", rule(action="ERRNO"), REFUSES),
    ("linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL does not return", rule(action="SCMP_ACT_KILL", errnoRet=1), RUNS),
    ("linux.seccomp.syscalls[0].args[0].op: unknown operator", on_condition(op="=="), REFUSES),
    ("linux.seccomp.syscalls[0].args[0].index: a system call has 6", on_condition(index=6), REFUSES),
    ("linux.seccomp.syscalls[0].args[0].value: want an integer from 0", on_condition(value=-1), REFUSES),
    # limits
    ("linux.resources.devices[0].type: want one of a, b, c", resources(devices=[{"allow": True, "type": "p"}]), DEPENDS),
    ("linux.resources.devices[0].access: want a composition", resources(devices=[{"allow": True, "access": "x"}]), DEPENDS),
    ("linux.resources.devices[0].allow: required", resources(devices=[{"access": "r"}]), DEPENDS),
    ("linux.resources.memory.limit: want a size", resources(memory={"limit": -2}), DEPENDS),
    ("linux.resources.memory.swap: memory and swap together", resources(memory={"limit": 1 << 26, "swap": 1 << 25}), DEPENDS),
    ("linux.resources.memory.swappiness: want 0 to 100", resources(memory={"swappiness": 101}), DEPENDS),
    ("linux.resources.cpu.cpus: want numbers and ranges", resources(cpu={"cpus": "one"}), DEPENDS),
    ("linux.resources.cpu.idle: want 0 or 1", resources(cpu={"idle": 2}), DEPENDS),
    ("linux.resources.cpu.quota: want microseconds", resources(cpu={"quota": -7}), DEPENDS),
    ("linux.resources.cpu.burst: 9000 is more than the quota, 5000", resources(cpu={"quota": 5000, "burst": 9000}), DEPENDS),
    ("linux.resources.blockIO.weight: want 10 to 1000", resources(blockIO={"weight": 5}), DEPENDS),
    (
        "linux.resources.blockIO.weightDevice[0]: neither weight nor leafWeight",
        resources(blockIO={"weightDevice": [{"major": 7, "minor": 0}]}),
        DEPENDS,
    ),
    (
        "linux.resources.hugepageLimits[0].pageSize: want a size",
        resources(hugepageLimits=[{"pageSize": "2M", "limit": 1}]),
        DEPENDS,
    ),
    (
        "linux.resources.hugepageLimits[1].pageSize: 2MB is there twice",
        resources(hugepageLimits=[{"pageSize": "2MB", "limit": 1}] * 2),
        DEPENDS,
    ),
    ("linux.resources.rdma.mlx5_0: neither hcaHandles nor hcaObjects", resources(rdma={"mlx5_0": {}}), DEPENDS),
    ("linux.resources.unified: '../x.y' is no control file", resources(unified={"../x.y": "1"}), DEPENDS),
]


@pytest.mark.parametrize(
    ("complaint", "change", "reference"), BROKEN, ids=[f"{i}-{one[0][:40]}" for i, one in enumerate(BROKEN)]
)
def test_it_is_refused_naming_the_field(
    oci: Runtime, runc: Runtime, bundle: Bundle, complaint: str, change: Change, reference: bool | None
) -> None:
    name = f"broken-{os.getpid()}"
    bundle.sh("true")
    change(bundle.config)
    done = oci.run(bundle, name=name, check=1)
    assert complaint in done.stderr.replace('\\"', '"')
    assert oci.ids() == [] and cgroups_called(name) == []
    theirs = runc.run(bundle, name=name, check=None)
    if reference is not DEPENDS and runc.call("--version").stdout.startswith("runc version 1.1."):
        assert (theirs.returncode != 0) is reference, f"runc: exit {theirs.returncode} {theirs.stderr}"


@pytest.mark.parametrize("complaint", ["linux.sysctl.net.ipv4.ip_forward: not allowed in the host's network namespace"])
def test_the_hosts_network_namespace_by_path_is_the_hosts(oci: Runtime, runc: Runtime, bundle: Bundle, complaint: str) -> None:
    without("network", sysctl={"net.ipv4.ip_forward": "1"})(bundle.config)
    namespace(type="network", path="/proc/self/ns/net")(bundle.config)
    assert complaint in oci.run(bundle.sh("true"), check=1).stderr
    runc.run(bundle, check=1)


def test_every_example_of_the_specification_is_accepted(bundle: Bundle) -> None:
    """What the configurations of other tests do not have."""
    for change in (
        both(TIME, linux(timeOffsets={"monotonic": {"secs": -5}, "boottime": {"secs": 7, "nanosecs": 999_999_999}})),
        process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 2}),
        process(ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 4}, execCPUAffinity={"initial": "7", "final": "0-3,7"}),
        linux(memoryPolicy={"mode": "MPOL_INTERLEAVE", "nodes": "2-3", "flags": ["MPOL_F_STATIC_NODES"]}),
        linux(intelRdt={"closID": "guaranteed_group", "schemata": ["L3:0=7f0;1=1f", "MB:0=20;1=70"]}),
        linux(netDevices={"eth0": {"name": "container_eth0"}}, rootfsPropagation="slave", personality={"domain": "LINUX"}),
        resources(hugepageLimits=[{"pageSize": "2MB", "limit": 9}, {"pageSize": "64KB", "limit": 9}], pids={"limit": 0}),
        resources(blockIO={"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}]}),
        resources(unified={"hugetlb.1GB.max": "1073741824"}, rdma={"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}),
        process(consoleSize={"height": 5, "width": 5}, terminal=False),  # ignored without a terminal
    ):
        config = dict(bundle.config, process=dict(bundle.config["process"]), linux=dict(bundle.config["linux"]))
        config["linux"] = {**config["linux"], "namespaces": list(config["linux"]["namespaces"]), "resources": {}}
        change(config)
        validate(parsed(config))


def parsed(config: dict[str, Any]) -> Config:
    return from_json(json_text.dumps(config))


def test_warnings_name_the_field(bundle: Bundle) -> None:
    bundle.config["process"]["capabilities"]["ambient"] = ["CAP_X", "CAP_KILL", "CAP_Y"]
    bundle.config["mounts"].append({"destination": "tmp", "type": "tmpfs"})
    assert list(warnings(parsed(bundle.config))) == [
        "process.capabilities.ambient: ignoring unknown CAP_X CAP_Y",
        "mounts[6].destination: a relative path is deprecated, taking it as relative to /",
    ]


def test_a_relative_mount_lies_below_the_root(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    bundle.config["mounts"].append({"destination": "dev/here", "type": "tmpfs", "source": "tmpfs"})
    bundle.sh("grep -c ' /dev/here ' /proc/self/mountinfo")
    assert oci.run(bundle).stdout == runc.run(bundle).stdout == "1\n"


def test_validating_costs_next_to_nothing(bundle: Bundle) -> None:
    config = parsed(bundle.config)
    start = time.perf_counter()
    for _ in range(100):
        validate(config)
    assert (time.perf_counter() - start) / 100 < 0.002
    with pytest.raises(Invalid):
        validate(config.replace(oci_version=""))
