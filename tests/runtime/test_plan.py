"""The plan as a value: a whole one kept as a readable file, the order that security rests on, a sentence for each step."""

from __future__ import annotations

import marshal
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.runtime.test_spec_choices import MACHINE, SANDBOX, build, container

from firkin.errors import Invalid, Unsupported
from firkin.linux import mount, process
from firkin.model import ContainerConfig, MountPoint, Resources, Ulimit
from firkin.oci.runtime_config import Config, Hook, Hooks, Process, Root
from firkin.oci.runtime_linux import IDMapping, Namespace
from firkin.runtime import child, describe, plan, plan_joining, spec, steps_parent
from firkin.runtime.mount_options import parse
from firkin.runtime.seccomp_cache import Filters

GOLDEN = Path(__file__).parent.parent / "data/plans"


class Layers(NamedTuple):
    lowers: tuple[str, ...] = ("/layers/top/diff", "/layers/bottom/diff")
    options: tuple[str, ...] = ()
    upper: str = "/snapshots/c1/upper"
    work: str = "/snapshots/c1/work"


V1 = [f"/sys/fs/cgroup/{name}/firkin/c1/tasks" for name in ("cpu,cpuacct", "memory", "pids")]
FILTER = bytes(16)  # two instructions
BRIDGE = {
    "parent": [("veth", "veth1234567", 7, "eth0", "", 1500, "")],
    "network": [("address", "eth0", "172.17.0.2", 16), ("link-up", "eth0"), ("route", "0.0.0.0/0", "172.17.0.1", "eth0")],
}


def launch(**changes: Any) -> plan.Launch:
    given = {"id": "c1", "root": Layers(), "staging": "/run/firkin/staging", "join_files": V1, "seccomp": FILTER, **changes}
    return plan.Launch(**given)


def child_steps(config: Config, **changes: Any) -> list[tuple[Any, ...]]:
    steps: list[tuple[Any, ...]] = plan.container_plan(config, launch(**changes))["child"]
    return steps


def operations(steps: list[tuple[Any, ...]]) -> list[str]:
    return [step[0] for step in steps]


# --- whole plans, kept ---------------------------------------------------------------------------------------------
def readable(made: dict[str, Any]) -> str:
    lines = [f"new: {describe.namespaces(made['clone'])}", f"descriptors: {' '.join(made['fds'])}", f"log: {made['log']}"]
    for side in ("parent", "child"):
        lines += ["", side]
        for step in made[side]:
            lines += ["  " + describe.describe(step), f"      {step}"]
    return "\n".join(lines) + "\n"


def default_plan() -> dict[str, Any]:
    sandbox = msgspec.structs.replace(SANDBOX, files={"/etc/hosts": "/containers/c1/hosts"})
    log = {
        "path": "/containers/c1/c1-json.log",
        "max_size": 0,
        "max_file": 1,
        "driver": "json-file",
        "tty": False,
        "attributes": "",
    }
    wired = launch(stdio=("null", "stdout", "stderr"), fds=("stdout_r", "stderr_r"), log=log, **BRIDGE)
    return plan.container_plan(build(container(), sandbox=sandbox), wired)


def terminal_plan() -> dict[str, Any]:
    config = ContainerConfig(hostname="h", domainname="example.org", tty=True, user="bob:audio", working_dir="/work")
    one = container(
        config,
        mounts=(MountPoint("bind", "/host/data", "/data", read_write=False),),
        readonly_rootfs=True,
        cap_drop=("ALL",),
        security_opt=("no-new-privileges",),
        group_add=("video",),
        console_size=(24, 80),
        oom_score_adj=100,
        cgroupns_mode="private",
        network_mode="host",
        ipc_mode="container:db",
        resources=Resources(ulimits=(Ulimit("nofile", 1024, -1),)),
        tmpfs={"/tmp": "size=1m"},
    )
    sandbox = msgspec.structs.replace(SANDBOX, namespaces={"ipc": "/proc/7/ns/ipc"}, shm="/run/firkin/shm/db")
    unified = ["/sys/fs/cgroup/firkin/c1/cgroup.procs"]
    wired = launch(join_files=unified, user=config.user, groups=one.host.group_add, log={"driver": "none"})
    return plan.container_plan(build(one, sandbox=sandbox), wired)


@pytest.mark.parametrize("make", [default_plan, terminal_plan])
def test_a_whole_plan(make: Any) -> None:
    """After a deliberate change: UPDATE_GOLDEN=1 pytest ..., then read the difference."""
    path = GOLDEN / f"{make.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(readable(make()))
    assert readable(make()) == path.read_text()


def test_a_plan_travels_by_marshal() -> None:
    assert marshal.loads(marshal.dumps(default_plan())) == default_plan()


# --- order ---------------------------------------------------------------------------------------------------------
def test_the_order_that_security_rests_on() -> None:
    one = container(
        ContainerConfig(working_dir="/work"),
        readonly_rootfs=True,
        sysctls={"net.core.somaxconn": "9"},
        resources=Resources(ulimits=(Ulimit("as", 1, 1),)),
    )
    done = operations(child_steps(build(one), **BRIDGE))
    first = {operation: done.index(operation) for operation in done}
    last = {operation: len(done) - 1 - done[::-1].index(operation) for operation in done}
    assert last["cgroup"] < first["root-propagation"] < first["overlay"] < first["mount"]
    assert last["symlink"] < first["wait-parent"] < first["link-up"] < first["sysctl"]
    assert last["sysctl"] < first["readonly-path"]
    assert last["mkdir"] < first["readonly-root"]
    assert last["mask"] < first["pivot"] < first["user"] < first["cwd"] < first["close-fds"] < first["rlimit"]
    assert last["rlimit"] < first["seccomp"] < first["identity"] < first["exec"] == len(done) - 1
    assert last["stdio"] < first["pivot"]


def test_a_label_of_files_is_for_the_root_too() -> None:
    machine = msgspec.structs.replace(MACHINE, selinux=("u:r:p:s0", "u:r:f:s0"))
    steps = child_steps(build(container(security_opt=("label=level:s0:c1,c2",)), machine))
    overlay = next(step for step in steps if step[0] == "overlay")
    shared_memory = next(step for step in steps if step[0] == "mount" and step[3] == "/dev/shm")
    assert overlay[5] == ["context=u:r:f:s0:c1,c2"] and "context=u:r:f:s0:c1,c2" in shared_memory[5]


def test_the_filter_comes_last_where_it_may() -> None:
    done = operations(child_steps(build(container(security_opt=("no-new-privileges",)))))
    assert done[-4:] == ["no-new-privileges", "identity", "seccomp", "exec"]


def test_ids_are_mapped_before_anything_is_mounted() -> None:
    config = build(container())
    mapped = config.linux.replace(
        namespaces=(*config.linux.namespaces, Namespace("user")),
        uid_mappings=(IDMapping(0, 1000, 1), IDMapping(1, 100000, 65535)),
    )
    made = plan.container_plan(config.replace(linux=mapped), launch())
    assert made["clone"] & process.CLONE_NEWUSER
    assert made["parent"][0] == ("uid-map", "0 1000 1\n1 100000 65535\n")
    done = operations(made["child"])
    assert done.index("wait-parent") < done.index("root-propagation")


def test_namespaces_are_made_or_joined() -> None:
    sandbox = msgspec.structs.replace(SANDBOX, namespaces={"pid": "/proc/7/ns/pid", "network": "/proc/7/ns/net"})
    config = build(container(pid_mode="container:x", network_mode="container:x", cgroupns_mode="private"), sandbox=sandbox)
    made = plan.container_plan(config, launch())
    assert plan.namespace_paths(config) == {"ns-network": "/proc/7/ns/net", "ns-pid": "/proc/7/ns/pid"}
    assert made["fds"] == ["ns-network", "ns-pid"] and made["pidns"] == "ns-pid"
    assert made["clone"] == process.CLONE_NEWNS | process.CLONE_NEWUTS | process.CLONE_NEWIPC
    assert ("setns", "ns-network", process.CLONE_NEWNET) in made["child"]
    assert "link-up" not in operations(made["child"])
    done = operations(made["child"])
    assert done.index("cgroup") < done.index("unshare")  # its root is the group joined before


def test_a_host_dev_gets_no_nodes() -> None:
    steps = child_steps(build(container(mounts=(MountPoint("bind", "/dev", "/dev"),))))
    assert "mknod" not in operations(steps)
    assert not [step for step in steps if step[0] == "symlink" and step[2].startswith("/dev/")]


def test_a_namespace_job() -> None:
    made = plan_joining.namespace_job(
        "j", [("link-up", "eth1")], process.CLONE_NEWNET, [("veth", "v", 1, "eth1", "", 0, "net")]
    )
    assert operations(made["child"]) == ["wait-parent", "setns-pidfd", "link-up", "exit"]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (Config("1.2.1", hooks=Hooks(prestart=(Hook("/bin/true"),))), "hooks"),
    ],
)
def test_what_has_no_steps_is_refused(config: Config, complaint: str) -> None:
    with pytest.raises(Unsupported, match=complaint):
        plan.container_plan(config, launch())


def test_a_container_needs_a_command() -> None:
    with pytest.raises(Invalid, match="no command specified"):
        plan.container_plan(Config("1.2.1", root=Root("/r"), process=Process("/")), launch())


# --- mount options -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "set_", "clear", "below", "data"),
    [
        ("ro nosuid", mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID, 0, 0, ()),
        ("ro rw", 0, mount.MOUNT_ATTR_RDONLY, 0, ()),
        ("rw ro", mount.MOUNT_ATTR_RDONLY, 0, 0, ()),
        ("rro size=1m", 0, 0, mount.MOUNT_ATTR_RDONLY, ("size=1m",)),
        ("noatime strictatime", mount.MOUNT_ATTR_STRICTATIME, mount.MOUNT_ATTR__ATIME, 0, ()),
        ("strictatime relatime", 0, mount.MOUNT_ATTR__ATIME, 0, ()),
        ("newinstance mode=0620", 0, 0, 0, ("newinstance", "mode=0620")),
    ],
)
def test_mount_options(words: str, set_: int, clear: int, below: int, data: tuple[str, ...]) -> None:
    found = parse(tuple(words.split()))
    assert (found.set, found.clear, found.recursive_set, found.data) == (set_, clear, below, data)


# --- sentences -----------------------------------------------------------------------------------------------------
def test_every_operation_of_child_and_launcher_has_a_sentence() -> None:
    assert set(describe._CLAUSES) == set(child.STEPS) | set(steps_parent.STEPS)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (("mount", "proc", "proc", "/proc", 14, [], "dir"), "mount proc on /proc (nosuid, nodev, noexec)"),
        (
            ("bind", "/a", "/b", True, 1, 0, mount.MS_SLAVE | mount.MS_REC, "auto"),
            "bind /a on /b (read-only, recursively slave, also mounts below)",
        ),
        (("overlay", "/s", ["/1"], "", "", []), "mount overlay of 1 layer and nothing writable on /s"),
        (("rootfs", "/s", "/r", True), "bind /r on /s as the root (read-only)"),
        (("setns-pidfd", "pidfd", process.CLONE_NEWNET), "join network namespace of the container"),
        (("unshare", process.CLONE_NEWNS | process.CLONE_NEWUTS), "make new mount and UTS namespaces"),
        (("mount-attributes", "/c", 1, 0, 0, False), "make /c read-only"),
        (
            ("cgroup-views", "/c", 1, [("memory", "/m/box"), ("pids", "/p/box")], []),
            "show cgroups /m/box as memory and /p/box as pids in /c (read-only)",
        ),
        (("mkdir", "/w", 0o755), "make directory /w (mode 0755)"),
        (("mknod", "/dev/x", 0o20660, 1, 3, 0, 5), "make device /dev/x (1:3, mode 0660, owner 0:5)"),
        (("write", "/f", "abc", 0o644), "write /f (3 characters, mode 0644)"),
        (("rlimit", 7, 10, (1 << 64) - 1), "limit nofile to 10 (at most unlimited)"),
        (("umask", 0o27), "set umask 0027"),
        (("personality", 8), "set personality 0x8"),
        (("dumpable", 0), "forbid others to trace this process"),
        (("user", "", ["a"], True), "look up user root and groups a in the container's /etc/passwd and /etc/group"),
        (("identity", 1, 0, 0, 0, 0), "become that user, limited to capabilities chown, starting with none"),
        (("identity", 0, 0, 0, 0, 0), "become that user, without capabilities"),
        (("stdio", "null", "a", "b"), "connect standard input, output and error to /dev/null, a and b"),
        (("exec-console", 0, 0), "open a terminal and attach to it"),
        (("sysctl", "net/core/somaxconn", "9"), "set net.core.somaxconn = 9"),
        (("link-rename", "a", "b"), "rename interface a to b"),
        (("route", "10.0.0.0/8", "", "eth0"), "route 10.0.0.0/8 by eth0"),
        (("nft", b"1234"), "load firewall rules (4 bytes)"),
        (("sockets", [("udp", "127.0.0.11", 53)]), "open udp 127.0.0.11:53"),
        (("uid-map", "0 1000 1\n1 5000 10\n"), "map user ids 0-0 to 1000 and 1-10 to 5000"),
        (("setgroups", "deny"), "deny setgroups in the user namespace"),
        (("write-file", "/p", "x"), "write /p"),
        (("cwd", "/w", True), "change to directory /w (made if missing)"),
        (("exit", 3), "exit with code 3"),
    ],
)
def test_sentences(step: tuple[Any, ...], sentence: str) -> None:
    assert describe.describe(step) == sentence


# --- speed ---------------------------------------------------------------------------------------------------------
def test_deciding_takes_no_noticeable_time(tmp_path: Path) -> None:
    """Configuration, filter and plan of a default container: the promise is 1 ms, on this machine it is 0.1."""
    one, filters = container(), Filters(str(tmp_path))

    def decide() -> None:
        config = spec.build_config(one, MACHINE, SANDBOX)
        assert config.linux.seccomp
        plan.container_plan(config, launch(seccomp=filters.program(config.linux.seccomp), **BRIDGE))

    decide()
    durations = []
    for _ in range(50):
        before = time.perf_counter()
        decide()
        durations.append(time.perf_counter() - before)
    assert min(durations) < 0.001
