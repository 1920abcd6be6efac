"""Docker's words in, OCI's out: the choices of `build_config`, without a kernel."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import Any

import jsonschema
import msgspec
import pytest
from tests.runtime.test_spec_config_json import validator

from firkin.errors import Invalid, Unavailable
from firkin.model import Container, ContainerConfig, ExecRequest, HostConfig, MountPoint, MountRequest, Resources, Ulimit
from firkin.oci.runtime_config import Config, Mount, to_json
from firkin.runtime import capability_names, defaults, devices, machine, spec
from firkin.runtime.machine import Machine
from firkin.runtime.sandbox import Sandbox

MACHINE = Machine(
    capabilities=tuple(name for name in capability_names.NAMES if name != "CAP_SYS_RESOURCE"),
    unified_cgroups=False,
    sysctls=defaults.NETWORK_SYSCTLS,
    init="/usr/bin/tini-static",
)
SANDBOX = Sandbox("/run/firkin/staging", "/firkin/c1")


def container(config: ContainerConfig | None = None, mounts: tuple[MountPoint, ...] = (), **host: Any) -> Container:
    return Container(
        id="c1",
        name="box",
        created=0,
        config=config or ContainerConfig(hostname="box"),
        host=HostConfig(**host),
        image_id="sha256:0",
        path="/bin/app",
        args=("-x",),
        mounts=mounts,
    )


def build(one: Container, here: Machine = MACHINE, sandbox: Sandbox = SANDBOX) -> Config:
    return spec.build_config(one, here, sandbox, devices.resolve(one.host))


def bounding(**host: Any) -> tuple[str, ...]:
    process = build(container(**host)).process
    assert process and process.capabilities
    return process.capabilities.bounding


def mounts_of(one: Container, sandbox: Sandbox = SANDBOX, here: Machine = MACHINE) -> dict[str, Mount]:
    return {mount.destination: mount for mount in build(one, here, sandbox).mounts}


def test_the_default_container_fits_the_schema() -> None:
    validator().validate(json.loads(to_json(build(container()))))
    everything = container(
        ContainerConfig(hostname="h", tty=True, user="bob"),
        privileged=True,
        annotations={"a": "b"},
        sysctls={"net.core.somaxconn": "9"},
        console_size=(2, 3),
        resources=Resources(memory=9, nano_cpus=5, pids_limit=0, ulimits=(Ulimit("core", -1, -1),), cpuset_cpus="0"),
    )
    validator().validate(json.loads(to_json(build(everything))))
    with pytest.raises(jsonschema.ValidationError):
        validator().validate({"ociVersion": "1.2.1", "process": {}})


# --- capabilities and security options -----------------------------------------------------------------------------
def test_capabilities() -> None:
    assert bounding() == defaults.CAPABILITIES
    assert len(bounding()) == 14
    assert set(bounding(cap_add=("net_admin", "CAP_SYS_TIME"))) - set(bounding()) == {"CAP_NET_ADMIN", "CAP_SYS_TIME"}
    assert bounding(cap_drop=("ALL",)) == ()
    assert bounding(cap_drop=("all",), cap_add=("chown",)) == ("CAP_CHOWN",)
    assert set(bounding(cap_add=("ALL",), cap_drop=("MKNOD",))) == set(MACHINE.capabilities) - {"CAP_MKNOD"}
    assert bounding(privileged=True) == MACHINE.capabilities


@pytest.mark.parametrize("name", ["CAP_NOSUCH", "sys_resource"])
def test_a_capability_we_cannot_give_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="capability"):
        build(container(cap_add=(name,)))


@pytest.mark.parametrize(("user", "starts_with"), [("", 14), ("0:5", 14), ("root", 14), ("bob", 0), ("1000", 0)])
def test_who_is_not_root_starts_without_capabilities(user: str, starts_with: int) -> None:
    process = build(container(ContainerConfig(user=user))).process
    assert process and process.capabilities
    assert len(process.capabilities.bounding) == 14
    assert len(process.capabilities.effective) == len(process.capabilities.permitted) == starts_with
    assert not process.capabilities.inheritable  # CVE-2022-29162


def test_security_options() -> None:
    assert build(container()).linux.seccomp is not None
    assert build(container(security_opt=("seccomp=unconfined",))).linux.seccomp is None
    assert build(container(privileged=True)).linux.seccomp is None
    profile = '{"defaultAction":"SCMP_ACT_ALLOW"}'
    for options in ((f"seccomp={profile}",), ("seccomp:" + profile, "label=disable", "apparmor=unconfined")):
        seccomp = build(container(security_opt=options, privileged=True)).linux.seccomp
        assert seccomp and seccomp.default_action == "SCMP_ACT_ALLOW"
    process = build(container(security_opt=("no-new-privileges",))).process
    assert process and process.no_new_privileges
    process = build(container(security_opt=("no-new-privileges:false",))).process
    assert process and not process.no_new_privileges


@pytest.mark.parametrize("option", ["nonsense", "colour=blue", "no-new-privileges=maybe"])
def test_an_unknown_security_option_is_refused(option: str) -> None:
    with pytest.raises(Invalid, match="invalid --security-opt"):
        build(container(security_opt=(option,)))


def test_hidden_paths() -> None:
    linux = build(container()).linux
    assert "/proc/kcore" in linux.masked_paths and "/sys/firmware" in linux.masked_paths
    assert linux.readonly_paths == ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
    assert build(container(privileged=True)).linux.masked_paths == ()
    assert build(container(masked_paths=(), readonly_paths=("/x",))).linux.readonly_paths == ("/x",)


# --- process -------------------------------------------------------------------------------------------------------
def test_environment_in_dockers_order() -> None:
    config = ContainerConfig(hostname="h", tty=True, env=("A=1", "PATH=/bin", "TERM", "B=2", "A=3"))
    process = build(container(config), sandbox=msgspec.structs.replace(SANDBOX, environment=("DB_PORT=1",))).process
    assert process and process.env == ("PATH=/bin", "HOSTNAME=h", "DB_PORT=1", "A=3", "B=2")


def test_init_goes_before_the_program() -> None:
    one = container(resources=Resources(init=True))
    config = build(one)
    assert config.process and config.process.args == ("/sbin/docker-init", "--", "/bin/app", "-x")
    assert config.mounts[-1] == Mount("/sbin/docker-init", "bind", "/usr/bin/tini-static", ("bind", "ro", "rprivate"))
    shared = build(replace(one, host=replace(one.host, pid_mode="host"))).process
    assert shared and shared.args == ("/bin/app", "-x")  # there is an init already
    with pytest.raises(Unavailable, match="apt-get install tini"):
        build(one, msgspec.structs.replace(MACHINE, init=""))


def test_rlimits_over_the_daemons_own() -> None:
    here = msgspec.structs.replace(MACHINE, ulimits=(Ulimit("nofile", 1, 2), Ulimit("core", 0, -1)))
    process = build(container(resources=Resources(ulimits=(Ulimit("nofile", 5, 6),))), here).process
    assert process
    assert [(one.type, one.soft, one.hard) for one in process.rlimits] == [
        ("RLIMIT_NOFILE", 5, 6),
        ("RLIMIT_CORE", 0, (1 << 64) - 1),
    ]
    for limit in (Ulimit("nosuch", 1, 1), Ulimit("nofile", 3, 2), Ulimit("nofile", -1, 2)):
        with pytest.raises(Invalid, match="ulimit"):
            build(container(resources=Resources(ulimits=(limit,))))


def test_exec_has_the_containers_environment_and_no_inheritable_capabilities() -> None:
    one = container(ContainerConfig(hostname="h", env=("A=1",), working_dir="/w", user="bob"), cap_add=("NET_ADMIN",))
    process = spec.build_exec(one, ExecRequest(("ls",), env=("A=2", "B=3"), tty=True), MACHINE, SANDBOX)
    assert process.env == (defaults.PATH, "HOSTNAME=h", "TERM=xterm", "A=2", "B=3")
    assert process.cwd == "/w" and process.terminal
    assert process.capabilities and not process.capabilities.effective and not process.capabilities.inheritable
    assert "CAP_NET_ADMIN" in process.capabilities.bounding
    root = spec.build_exec(one, ExecRequest(("ls",), user="0", privileged=True), MACHINE, SANDBOX)
    assert root.capabilities and root.capabilities.effective == MACHINE.capabilities


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 15), ("SIGINT", 2), ("int", 2), ("9", 9), ("RTMIN+3", signal.SIGRTMIN + 3), ("SIGRTMAX-1", signal.SIGRTMAX - 1)],
)
def test_stop_signals(text: str, number: int) -> None:
    assert spec.stop_signal(text) == number


@pytest.mark.parametrize("text", ["SIGNOTHING", "0", "65", "-1", "RTMIN+99", "_IGN"])
def test_bad_stop_signals(text: str) -> None:
    with pytest.raises(Invalid, match="invalid signal"):
        spec.stop_signal(text)


# --- mounts --------------------------------------------------------------------------------------------------------
def test_default_mounts_and_their_order() -> None:
    volume = MountPoint("volume", "/var/v", "/data/inner", propagation="rslave")
    outer = MountPoint("bind", "/host", "/data", read_write=False)
    one = container(mounts=(volume, outer), tmpfs={"/run": "exec,size=1m"})
    files = msgspec.structs.replace(SANDBOX, files={"/etc/hosts": "/c/hosts"})
    mounts = build(one, sandbox=files).mounts
    assert [mount.destination for mount in mounts] == [
        *("/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"),
        *("/run", "/data", "/etc/hosts", "/data/inner"),
    ]
    by_target = {mount.destination: mount.options for mount in mounts}
    assert by_target["/dev/shm"][-1] == f"size={64 << 20}"
    assert by_target["/run"] == ("nosuid", "nodev", "exec", "size=1m")
    assert by_target["/data"] == ("rbind", "rro", "rprivate")
    assert by_target["/data/inner"] == ("rbind", "rslave")
    assert build(one).linux.rootfs_propagation == "rslave"


def test_the_users_mounts_replace_dockers() -> None:
    own_dev = mounts_of(container(mounts=(MountPoint("bind", "/dev", "/dev"),)))
    assert own_dev["/dev"].type == "bind" and "/dev/pts" not in own_dev
    own_hosts = mounts_of(
        container(mounts=(MountPoint("bind", "/mine", "/etc/hosts"),)),
        msgspec.structs.replace(SANDBOX, files={"/etc/hosts": "/c/hosts"}),
    )
    assert own_hosts["/etc/hosts"].source == "/mine"


@pytest.mark.parametrize("target", ["/proc/self/attr", "/proc", "/x/../proc/sys", "/proc/"])
def test_nothing_is_mounted_over_the_kernels_files(target: str) -> None:
    with pytest.raises(Invalid, match="cannot be mounted because it is inside /proc"):
        build(container(mounts=(MountPoint("volume", "/v", target),)))
    allowed = MountPoint("bind", "/lxcfs/meminfo", "/proc/meminfo"), MountPoint("bind", "/proc", "/proc")
    assert mounts_of(container(mounts=allowed))["/proc/meminfo"].source == "/lxcfs/meminfo"


def test_read_only_in_all_its_degrees() -> None:
    def options(here: Machine = MACHINE, **request: Any) -> tuple[str, ...]:
        point = MountPoint("bind", "/h", "/v", read_write=False, request=MountRequest("bind", "/v", "/h", **request))
        return mounts_of(container(mounts=(point,)), here=here)["/v"].options

    old = msgspec.structs.replace(MACHINE, recursive_readonly=False)
    assert options() == ("rbind", "rro", "rprivate")
    assert options(read_only_non_recursive=True) == options(old) == ("rbind", "ro", "rprivate")
    assert options(non_recursive=True) == ("bind", "ro", "rprivate")
    with pytest.raises(Invalid, match="cannot make mounts below it read-only"):
        options(old, read_only_force_recursive=True)


def test_shared_memory() -> None:
    assert "/dev/shm" not in mounts_of(container(ipc_mode="none"))
    bound = mounts_of(container(ipc_mode="host"), msgspec.structs.replace(SANDBOX, shm="/dev/shm"))["/dev/shm"]
    assert (bound.type, bound.source) == ("bind", "/dev/shm")


def test_privileged_mounts_are_writable() -> None:
    for target in ("/sys", "/sys/fs/cgroup"):
        assert "ro" in mounts_of(container())[target].options
        assert "ro" not in mounts_of(container(privileged=True))[target].options


def test_tmpfs_options() -> None:
    request = MountRequest("tmpfs", "/t", tmpfs_size=9, tmpfs_mode=0o700, tmpfs_options=(("exec",), ("uid", "5")))
    point = MountPoint("tmpfs", "", "/t", read_write=False, request=request)
    assert mounts_of(container(mounts=(point,)))["/t"].options == (
        "nosuid",
        "nodev",
        "ro",
        "mode=700",
        "size=9",
        "exec",
        "uid=5",
    )
    for bad in ("lowerdir=/", "bind", "remount", "frob"):
        with pytest.raises(Invalid, match="invalid tmpfs option"):
            build(container(tmpfs={"/t": bad}))


# --- namespaces and sysctls ----------------------------------------------------------------------------------------
def kinds(here: Machine = MACHINE, sandbox: Sandbox = SANDBOX, **host: Any) -> set[str]:
    return {
        f"{one.type}{':' + one.path if one.path else ''}" for one in build(container(**host), here, sandbox).linux.namespaces
    }


def test_namespace_modes() -> None:
    assert kinds() == {"mount", "network", "uts", "pid", "ipc"}
    assert kinds(cgroupns_mode="private") == kinds() | {"cgroup"}
    assert kinds(msgspec.structs.replace(MACHINE, unified_cgroups=True)) == kinds() | {"cgroup"}
    assert kinds(network_mode="host", uts_mode="host", pid_mode="host", ipc_mode="host") == {"mount"}
    joined = msgspec.structs.replace(SANDBOX, namespaces={"network": "/proc/7/ns/net", "pid": "/proc/7/ns/pid"})
    found = kinds(sandbox=joined, network_mode="container:x", pid_mode="container:x")
    assert found == {"mount", "network:/proc/7/ns/net", "pid:/proc/7/ns/pid", "uts", "ipc"}
    assert build(container(uts_mode="host")).hostname == ""


@pytest.mark.parametrize("host", [{"pid_mode": "mine"}, {"ipc_mode": "mine"}, {"uts_mode": "private!"}, {"cgroupns_mode": "x"}])
def test_modes_that_do_not_exist(host: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="mode"):
        build(container(**host))


def test_joining_a_container_that_does_not_run() -> None:
    with pytest.raises(Invalid, match="join ipc namespace of x: the container is not running"):
        build(container(ipc_mode="container:x"))


def test_sysctls() -> None:
    assert build(container()).linux.sysctl == defaults.NETWORK_SYSCTLS
    assert build(container(network_mode="host")).linux.sysctl == {}
    own = build(container(sysctls={"net.ipv4.ip_unprivileged_port_start": "80", "kernel.msgmax": "9"})).linux.sysctl
    assert own["net.ipv4.ip_unprivileged_port_start"] == "80" and own["kernel.msgmax"] == "9"


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("kernel.core_pattern", {}),
        ("vm.swappiness", {}),
        ("kernel/core_pattern", {}),
        ("net.core.somaxconn", {"network_mode": "host"}),
        ("fs.mqueue.msg_max", {"ipc_mode": "host"}),
    ],
)
def test_sysctls_of_the_host_are_refused(name: str, host: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="is not allowed"):
        build(container(sysctls={name: "1"}, **host))


# --- resources and devices -----------------------------------------------------------------------------------------
def test_resources() -> None:
    wanted = Resources(memory=100, nano_cpus=1_500_000_000, cpu_shares=7, pids_limit=0, memory_swappiness=-1)
    limits = build(container(resources=wanted)).linux.resources
    assert limits and limits.memory and limits.cpu and limits.pids
    assert (limits.memory.limit, limits.memory.swap, limits.memory.swappiness) == (100, 200, None)
    assert (limits.cpu.quota, limits.cpu.period, limits.cpu.shares) == (150_000, 100_000, 7)
    assert limits.pids.limit == -1
    nothing = build(container()).linux.resources
    assert nothing and (nothing.memory, nothing.cpu, nothing.pids, nothing.block_io) == (None, None, None, None)
    unlimited = build(container(resources=Resources(memory=100, memory_swap=-1))).linux.resources
    assert unlimited and unlimited.memory and unlimited.memory.swap == -1


def test_devices() -> None:
    asked = msgspec.convert(
        {"devices": [{"path_on_host": "/dev/full", "path_in_container": "/dev/f", "cgroup_permissions": "r"}]}, Resources
    )
    linux = build(container(resources=replace(asked, device_cgroup_rules=("c 13:* rw",)))).linux
    (node,) = linux.devices
    assert (node.path, node.type, node.major, node.minor) == ("/dev/f", "c", 1, 7)
    assert linux.resources
    assert [(rule.type, rule.major, rule.minor, rule.access) for rule in linux.resources.devices[-2:]] == [
        ("c", 1, 7, "r"),
        ("c", 13, None, "rw"),
    ]
    everything = build(container(privileged=True)).linux
    assert everything.resources and [(rule.allow, rule.access) for rule in everything.resources.devices] == [(True, "rwm")]
    assert "/dev/zero" in {node.path for node in everything.devices}
    assert not any(node.path.startswith(("/dev/pts/", "/dev/shm/")) for node in everything.devices)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"devices": [{"path_on_host": "/dev/nosuch"}]}, "no such file"),
        ({"devices": [{"path_on_host": "/etc/passwd"}]}, "not a device node"),
        ({"device_cgroup_rules": ["c 1:3"]}, "invalid device cgroup rule format"),
        ({"device_cgroup_rules": ["x 1:3 r"]}, "invalid device cgroup rule format"),
        ({"device_requests": [{"Driver": "nvidia"}]}, "could not select device driver"),
        ({"blkio_device_read_bps": [{"path": "/dev/nosuch", "rate": 1}]}, "limit block device /dev/nosuch"),
    ],
)
def test_devices_that_are_none(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        build(container(resources=msgspec.convert(resources, Resources)))


def test_a_link_out_of_dev_is_not_followed(tmp_path: Any) -> None:
    os.symlink("/dev/full", tmp_path / "device")
    os.symlink("/etc", tmp_path / "other")
    found = devices.resolve(
        HostConfig(resources=msgspec.convert({"devices": [{"path_on_host": str(tmp_path / "device")}]}, Resources))
    )
    assert found.nodes[0].minor == 7
    with pytest.raises(Invalid):
        devices.resolve(
            HostConfig(resources=msgspec.convert({"devices": [{"path_on_host": str(tmp_path / "other")}]}, Resources))
        )


def test_this_machine() -> None:
    here = machine.detect(unified_cgroups=True)
    assert "CAP_CHOWN" in here.capabilities and set(defaults.MASKED_PATHS) <= set(here.masked_paths)
