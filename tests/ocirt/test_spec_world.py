"""What a configuration asks of the machine around the process: interfaces, cgroup limits, cache classes, kernel parameters.

Limits are read from the control files, beside those that runc writes for the same bundle.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firkin.linux import resctrl
from firkin.linux.cgroup import Cgroups
from firkin.oci.runtime_linux import IntelRdt, Linux
from firkin.runtime import plan_outside
from tests.ocirt.conftest import Bundle, Runtime

GROUP = f"/firkin-spec-{os.getpid()}"


@pytest.fixture(autouse=True)
def own_cgroup(bundle: Bundle) -> None:
    bundle.config["linux"]["cgroupsPath"] = GROUP


# --- interfaces ----------------------------------------------------------------------------------------------------
def in_network(oci: Runtime, bundle: Bundle, setup: str, after: str = "true") -> subprocess.CompletedProcess[str]:
    """Run the bundle in a network namespace of its own, which `setup` fills and `after` looks at."""
    bundle.write()
    run = " ".join(oci.argv("run", "--bundle", str(bundle.path), "box"))
    script = f"set -e; ip link set lo up; {setup}; set +e; {run}; code=$?; {after}; exit $code"
    return subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, timeout=30)


def pair(name: str) -> str:
    return f"ip link add {name} type veth peer name {name}-peer"


def test_interfaces_move_in_with_their_addresses(oci: Runtime, bundle: Bundle) -> None:
    """Lasting global addresses of both families stay, others do not; hardware address and MTU stay too."""
    setup = (
        f"{pair('v0')}; ip link set v0 mtu 1400 address 02:00:00:00:00:07; ip addr add 192.0.2.7/24 dev v0;"
        "ip addr add 192.0.2.8/24 dev v0 valid_lft 500 preferred_lft 400; ip addr add 2001:db8::7/64 dev v0;"
        "ip addr add 198.51.100.1/24 dev v0 scope link; ip link set v0 up"
    )
    bundle.config["linux"]["netDevices"] = {"v0": {"name": "inside"}}
    bundle.sh("ip -o addr show inside; cat /sys/class/net/inside/mtu /sys/class/net/inside/address; ip route")
    done = in_network(oci, bundle, setup, after="ip -o link")
    assert done.returncode == 0, done.stderr
    assert "192.0.2.7/24 scope global inside" in done.stdout and "2001:db8::7/64 scope global" in done.stdout
    assert "192.0.2.8" not in done.stdout and "198.51.100.1" not in done.stdout
    assert "1400\n02:00:00:00:00:07\n" in done.stdout
    assert "192.0.2.0/24 dev inside" in done.stdout  # it is up
    assert "v0@" not in done.stdout


def test_interfaces_may_be_numbered_by_the_kernel(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["netDevices"] = {"v0": {"name": "port%d"}, "v1": {"name": "port%d"}, "v2": {}}
    bundle.sh("ls /sys/class/net")
    done = in_network(oci, bundle, "; ".join(map(pair, ("v0", "v1", "v2"))))
    assert done.stdout.split() == ["lo", "port0", "port1", "v2"], done.stderr


@pytest.mark.parametrize(
    ("devices", "complaint"),
    [
        ({"v0": {"name": "lo"}}, "move interface v0 into the container as lo: lo: file exists"),
        ({"nowhere": {}}, "move interface nowhere into the container: nowhere: no such device"),
        ({"lo": {"name": "lo1"}}, "move interface lo into the container as lo1"),
    ],
)
def test_an_interface_that_cannot_move_stays(oci: Runtime, bundle: Bundle, devices: dict[str, Any], complaint: str) -> None:
    bundle.config["linux"]["netDevices"] = devices
    done = in_network(oci, bundle.sh("true"), pair("v0"), after="ls /sys/class/net")
    assert done.returncode == 1 and complaint in done.stderr
    assert (
        "v0"
        in subprocess.run(["unshare", "-n", "sh", "-c", f"{pair('v0')}; ip -o link"], capture_output=True, text=True).stdout
    )  # the pair can be made at all
    assert oci.ids() == []


def test_an_interface_moves_into_a_namespace_that_exists(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """By path: a namespace held by another process."""
    bundle.config["linux"]["netDevices"] = {"v0": {}}
    network = next(one for one in bundle.config["linux"]["namespaces"] if one["type"] == "network")
    network["path"] = str(tmp_path / "netns")
    (tmp_path / "netns").write_text("")
    setup = f"{pair('v0')}; unshare --net={tmp_path}/netns true"
    try:
        done = in_network(oci, bundle.sh("ip -o link show v0"), setup)
    finally:
        subprocess.run(["umount", str(tmp_path / "netns")], check=False)
    assert done.returncode == 0 and ",UP" in done.stdout, done.stderr


# --- cgroup limits -------------------------------------------------------------------------------------------------
def limits(runtime: Runtime, bundle: Bundle) -> dict[str, str]:
    """Every control file of the container's groups that says something stable, as "controller/file"."""
    runtime.run(bundle.sh("sleep 60"), "--detach")
    cgroups = Cgroups.detect()
    found = {}
    for controller in ("memory", "cpu", "cpuset", "pids", "blkio", "devices", "hugetlb"):
        if cgroups.version(controller) == 1:
            directory = Path(cgroups.file(GROUP, controller, ""))
            for file in sorted(directory.iterdir()):
                if file.is_file() and os.access(file, os.R_OK) and not VOLATILE & set(file.name.replace(".", "_").split("_")):
                    try:
                        found[f"{controller}/{file.name}"] = "".join(sorted(file.read_text().splitlines(keepends=True)))
                    except OSError:
                        pass
    runtime.call("delete", "--force", "box")
    return found


VOLATILE = {"usage", "procs", "tasks", "stat", "failcnt", "current", "peak", "events", "numa", "io", "throttle", "percpu"}
LIMITS: dict[str, Any] = {
    "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swappiness": 10},
    "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 77},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": True, "type": "b", "major": 7, "access": "r"},
    ],
}


@pytest.mark.skipif(Cgroups.detect().unified, reason="control files of version 1; tests/vm has version 2")
def test_limits_are_those_that_runc_sets(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    for resources in (
        LIMITS,
        {"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}, "devices": LIMITS["devices"]},
    ):
        bundle.config["linux"]["resources"] = resources
        ours, theirs = limits(oci, bundle), limits(runc, bundle)
        assert len(ours) > 20
        assert {name: (ours.get(name), value) for name, value in theirs.items() if ours.get(name) != value} == {}


@pytest.mark.skipif(Cgroups.detect().unified, reason="control files of version 1; tests/vm has version 2")
def test_limits_that_runc_1_1_does_not_know(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["resources"]["cpu"] = {"quota": 20000, "period": 50000, "burst": 10000}
    bundle.config["linux"]["resources"]["pids"] = {"limit": 0}
    done = oci.run(bundle.sh("true &"), check=None)
    assert "can't fork" in done.stderr  # zero is a limit
    bundle.config["linux"]["resources"]["pids"] = {"limit": 5}
    found = limits(oci, bundle)
    assert (found["cpu/cpu.cfs_burst_us"], found["pids/pids.max"]) == ("10000\n", "5\n")
    bundle.config["linux"]["resources"]["cpu"] = {"idle": 1}
    assert limits(oci, bundle)["cpu/cpu.idle"] == "1\n"


def disk() -> str:
    """ "major:minor" of one of this machine's disks, "" if it shows none."""
    found = [line.split() for line in Path("/proc/partitions").read_text().splitlines()[2:]]
    return next((f"{row[0]}:{row[1]}" for row in found if Path("/sys/block", row[3], "queue").exists()), "")


@pytest.mark.skipif(Cgroups.detect().unified, reason="control files of version 1; tests/vm has version 2")
@pytest.mark.skipif(not disk(), reason="this machine shows no disk to throttle")
def test_throttles_are_those_that_runc_sets(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    major, minor = map(int, disk().split(":"))
    words = ("ReadBps", "WriteBps", "ReadIOPS", "WriteIOPS")
    rates = {f"throttle{word}Device": [{"major": major, "minor": minor, "rate": 5000 + i}] for i, word in enumerate(words)}
    bundle.config["linux"]["resources"]["blockIO"] = rates
    files = [f"blkio.throttle.{word}_device" for word in ("read_bps", "write_bps", "read_iops", "write_iops")]
    for runtime in (oci, runc):
        runtime.run(bundle.sh("sleep 60"), "--detach")
        seen = [Path(Cgroups.detect().file(GROUP, "blkio", name)).read_text() for name in files]
        runtime.call("delete", "--force", "box")
        assert seen == [f"{major}:{minor} {5000 + i}\n" for i in range(4)], runtime.name


@pytest.mark.skipif(Cgroups.detect().unified, reason="what version 1 cannot set")
@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"unified": {"memory.high": "1000000"}}, "linux.resources.unified.memory.high"),
        ({"rdma": {"mlx5_0": {"hcaHandles": 3}}}, "linux.resources.rdma"),
        ({"network": {"classID": 7}}, "linux.resources.network.classID"),
        ({"network": {"priorities": [{"name": "lo", "priority": 7}]}}, "linux.resources.network.priorities"),
    ],
)
def test_a_limit_that_cannot_be_set_is_refused(oci: Runtime, bundle: Bundle, resources: dict[str, Any], field: str) -> None:
    controller = {"rdma": "rdma", "network": "net_cls"}.get(next(iter(resources)), "")
    if controller and Cgroups.detect().version(controller):
        pytest.skip(f"this machine has the {controller} controller")
    bundle.config["linux"]["resources"].update(resources)
    done = oci.run(bundle.sh("true"), check=1)
    assert f"{field}: this machine's cgroups have nothing to set it with" in done.stderr
    assert oci.ids() == [] and not Cgroups.detect().exists(GROUP)


# --- cache classes -------------------------------------------------------------------------------------------------
def test_without_resctrl_a_cache_class_is_refused(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    if "resctrl" in Path("/proc/self/mountinfo").read_text():
        pytest.skip("resctrl is mounted")
    bundle.config["linux"]["intelRdt"] = {"l3CacheSchema": "L3:0=f"}
    assert "resctrl is not mounted" in oci.run(bundle.sh("true"), check=1).stderr
    assert "Intel RDT" in runc.run(bundle, check=1).stderr
    assert oci.ids() == []


@pytest.fixture
def classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that behaves as resctrl does: no machine of ours has the hardware."""
    root = tmp_path / "resctrl"
    make = os.mkdir

    def populated(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        for name in ("tasks", "schemata"):
            Path(path, name).write_text("    L3:0=00f;1=0ff\n" if name == "schemata" else "")
        if "mon_groups" not in path:
            make(f"{path}/mon_groups")

    populated(str(root))
    monkeypatch.setattr(os, "mkdir", populated)
    yield root


def join(classes: Path, wanted: IntelRdt) -> None:
    (step,) = plan_outside.steps(Linux(intel_rdt=wanted), "box")
    _, class_, schemata, make, monitor = step
    resctrl.join(str(classes), class_, schemata, make, monitor, 4711)


def test_a_cache_class_of_its_own(classes: Path) -> None:
    wanted = IntelRdt(l3_cache_schema="L3:0=f", mem_bw_schema="MB:0=20", schemata=("L2:0=3",), enable_monitoring=True)
    (step,) = plan_outside.steps(Linux(intel_rdt=wanted), "box")
    assert step == ("resctrl", "box", ["L3:0=f", "MB:0=20", "L2:0=3"], True, "box")  # in the order demanded
    join(classes, wanted)
    assert (classes / "box/tasks").read_text() == (classes / "box/mon_groups/box/tasks").read_text() == "4711"
    assert plan_outside.cache_groups_made(wanted, "box") == ["box", "box/mon_groups/box"]


def test_cache_classes_that_are_there(classes: Path) -> None:
    os.mkdir(f"{classes}/gold", 0o755)
    join(classes, IntelRdt(clos_id="gold"))
    join(classes, IntelRdt(clos_id="gold", l3_cache_schema="L3:0=f;1=ff"))
    join(classes, IntelRdt(clos_id="/"))
    assert (classes / "gold/tasks").read_text() == (classes / "tasks").read_text() == "4711"
    with pytest.raises(FileExistsError, match="has not L3:0=1"):
        join(classes, IntelRdt(clos_id="gold", l3_cache_schema="L3:0=1"))
    with pytest.raises(FileNotFoundError):
        join(classes, IntelRdt(clos_id="silver"))
    assert plan_outside.cache_groups_made(IntelRdt(clos_id="gold"), "box") == []


# --- kernel parameters ---------------------------------------------------------------------------------------------
def test_parameters_in_either_spelling(oci: Runtime, runc: Runtime, bundle: Bundle) -> None:
    bundle.config["linux"]["sysctl"] = {
        "net.ipv4.ip_forward": "1",
        "net/ipv4/conf/lo/log_martians": "1",
        "kernel.shmmni": "77",
        "fs.mqueue.msg_max": "12",
        "kernel.domainname": "example",
    }
    bundle.sh(
        "cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/conf/lo/log_martians kernel/shmmni fs/mqueue/msg_max kernel/domainname"
    )
    assert oci.run(bundle).stdout.split() == runc.run(bundle).stdout.split() == ["1", "1", "77", "12", "example"]
