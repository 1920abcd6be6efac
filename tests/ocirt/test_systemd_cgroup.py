"""`--systemd-cgroup` where systemd is the first process: containers as its units. Each on runc too, where runc 1.1 can."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.lab import wait_until
from tests.ocirt.conftest import FIRKIN_OCI, Bundle, Runtime, cgroups_called

M = 1 << 20
GROUPS = Path("/sys/fs/cgroup")
UNIFIED = (GROUPS / "cgroup.controllers").exists()
PATIENCE = 120.0  # seconds: of a machine that may be emulated
SLICE = "firkin-test.slice"
NUMBERS = itertools.count(1)
PREFIXES = {"firkin-oci": "firkin", "runc": "runc"}

pytestmark = [
    pytest.mark.skipif(
        Path("/proc/1/comm").read_text() != "systemd\n" or not Path("/run/systemd/private").exists(),
        reason="systemd is not the first process here",
    ),
    pytest.mark.timeout(600),
]


class Systemd(Runtime):
    """A runtime that is told to have its groups from there."""

    def argv(self, *words: str) -> list[str]:
        return [self.program, "--root", str(self.root), "--systemd-cgroup", *words]

    def pid(self, name: str = "box") -> int:
        return int(self.state(name)["pid"])


@pytest.fixture
def command_line() -> type[Systemd]:
    return Systemd


@pytest.fixture
def unit(bundle: Bundle) -> str:
    """Of a bundle whose program waits. No other test's, which may have left one."""
    name = f"box{os.getpid()}n{next(NUMBERS)}"
    bundle.config["linux"]["cgroupsPath"] = f"{SLICE}:test:{name}"
    bundle.sh("exec sleep 1000")
    return f"test-{name}.scope"


def systemctl(*words: str, check: bool = True) -> str:
    return subprocess.run(["systemctl", *words], check=check, capture_output=True, text=True, timeout=PATIENCE).stdout


def shown(unit: str, *names: str, as_user: Sequence[str] = ()) -> dict[str, str]:
    """`as_user`: the words that make it the user's own manager who is asked."""
    argv = [*as_user, "systemctl", "--user" if as_user else "--system", "show", unit, "--property=" + ",".join(names)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    return dict(line.split("=", 1) for line in text.splitlines())


def nothing_is_left(unit: str, as_user: Sequence[str] = ()) -> bool:
    state = shown(unit, "LoadState", "ActiveState", as_user=as_user)
    return state == {"LoadState": "not-found", "ActiveState": "inactive"} and cgroups_called(unit) == []


def groups_of(pid: int) -> dict[str, str]:
    """Of each hierarchy's controllers, "" being version 2: the group."""
    rows = (line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    return {controller: path for controllers, path in rows for controller in controllers.split(",")}


def limit(pid: int, controller: str, v1: str, v2: str) -> str:
    directory = GROUPS if UNIFIED else GROUPS / controller
    return Path(f"{directory}{groups_of(pid)['' if UNIFIED else controller]}/{v1 if not UNIFIED else v2}").read_text().strip()


LIMITS = {
    "memory": {"limit": 64 * M, "swap": 96 * M},
    "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"},
    "pids": {"limit": 33},
}
TOLD = {"CPUQuotaPerSecUSec": "500ms", "TasksMax": "33", "AllowedCPUs": "0"}
TOLD |= (
    {"MemoryMax": str(64 * M), "MemorySwapMax": str(32 * M), "CPUWeight": "20"}
    if UNIFIED
    else {"MemoryLimit": str(64 * M), "CPUShares": "512"}
)


def test_a_container_is_a_scope_with_its_limits(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    bundle.config["linux"]["resources"] |= LIMITS
    runtime.run(bundle, "-d")
    path = f"/firkin.slice/{SLICE}/{unit}"
    expected = {
        "ActiveState": "active",
        "Slice": SLICE,
        "Delegate": "yes",
        "DefaultDependencies": "no",
        "ControlGroup": path,
        **TOLD,
    }
    assert shown(unit, *expected) == expected
    pid = runtime.pid()
    groups = groups_of(pid)
    joined = [""] if UNIFIED else ["name=systemd", "memory", "pids", "cpu", "cpuset", "freezer", "blkio"]
    assert {groups[one] for one in joined} == {path}
    files = [
        ("memory", "memory.limit_in_bytes", "memory.max"),
        ("pids", "pids.max", "pids.max"),
        ("cpu", "cpu.shares", "cpu.weight"),
    ]
    assert [limit(pid, *one) for one in files] == [str(64 * M), "33", "20" if UNIFIED else "512"]
    assert (
        runtime.call("exec", "box", "cat", "/proc/self/cgroup").stdout == Path(f"/proc/{pid}/cgroup").read_text()
        or runtime.name == "runc"
    )
    runtime.call("delete", "--force", "box")
    assert nothing_is_left(unit)


def test_a_swap_limit_of_zero_is_known_to_systemd(oci: Systemd, bundle: Bundle, unit: str) -> None:
    """So it holds after `daemon-reload`. runc 1.1 does not tell it."""
    if not UNIFIED:
        pytest.skip("this is cgroup version 1, where swap is limited together with memory")
    bundle.config["linux"]["resources"]["memory"] = {"limit": 64 * M, "swap": 64 * M}
    oci.run(bundle, "-d")
    systemctl("daemon-reload")
    assert shown(unit, "MemorySwapMax") == {"MemorySwapMax": "0"}
    assert limit(oci.pid(), "memory", "", "memory.swap.max") == "0"


def test_update_tells_both(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    bundle.config["linux"]["resources"] |= LIMITS
    runtime.run(bundle, "-d")
    runtime.call("update", "--memory", "128m", "--memory-swap", "192m", "--pids-limit", "44", "--cpu-share", "1024", "box")
    changed = {"TasksMax": "44"} | (
        {"MemoryMax": str(128 * M), "CPUWeight": "39"} if UNIFIED else {"MemoryLimit": str(128 * M), "CPUShares": "1024"}
    )
    assert shown(unit, *changed) == changed
    for _ in range(2):
        assert limit(runtime.pid(), "memory", "memory.limit_in_bytes", "memory.max") == str(128 * M)
        assert limit(runtime.pid(), "pids", "pids.max", "pids.max") == "44"
        systemctl("daemon-reload")


def test_names_that_are_not_given(runtime: Systemd, bundle: Bundle) -> None:
    name = f"unnamed{os.getpid()}"
    runtime.run(bundle.sh("exec sleep 1000"), "-d", name=name)
    unit = f"{PREFIXES[runtime.name]}-{name}.scope"
    assert shown(unit, "ControlGroup") == {"ControlGroup": f"/system.slice/{unit}"}
    runtime.call("delete", "--force", name)
    assert nothing_is_left(unit)


@pytest.mark.parametrize("path", ["a:b", "/absolute", "nonsense:test:x", "a--b.slice:test:x", "a.slice:b:c:d"])
def test_names_that_are_none(runtime: Systemd, bundle: Bundle, path: str) -> None:
    bundle.config["linux"]["cgroupsPath"] = path
    assert runtime.run(bundle, check=1).stderr
    assert runtime.ids() == []


def test_annotations_are_properties(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    prefix = "org.systemd.property."
    bundle.config["annotations"] = {
        prefix + "TimeoutStopUSec": "uint64 17000000",
        prefix + "CollectMode": "'inactive'",
        prefix + "RuntimeMaxSec": "900",
    }
    runtime.run(bundle, "-d")
    expected = {"TimeoutStopUSec": "17s", "CollectMode": "inactive", "RuntimeMaxUSec": "15min"}
    assert shown(unit, *expected) == expected
    runtime.call("delete", "--force", "box")
    for wrong in ({prefix + "CollectMode": "unquoted"}, {prefix + "NoSuchProperty": "true"}, {prefix + "Slice": "uint32 7"}):
        bundle.config["annotations"] = wrong
        assert runtime.run(bundle, "-d", check=1).stderr
        assert runtime.ids() == []
        wait_until(lambda: nothing_is_left(unit), PATIENCE)


def test_systemds_own_words_when_it_refuses(oci: Systemd, bundle: Bundle, unit: str) -> None:
    bundle.config["annotations"] = {"org.systemd.property.NoSuchProperty": "true"}
    said = oci.run(bundle, "-d", check=1).stderr
    assert f"systemd does not start {unit}: org.freedesktop.DBus.Error." in said and "NoSuchProperty" in said


def test_a_unit_that_is_there_is_not_touched(oci: Systemd, bundle: Bundle, unit: str) -> None:
    with subprocess.Popen(
        ["systemd-run", "--quiet", "--scope", f"--slice={SLICE}", f"--unit={unit}", "sleep", "1000"]
    ) as other:
        try:
            wait_until(lambda: shown(unit, "ActiveState")["ActiveState"] == "active", PATIENCE)
            for _ in range(2):
                assert "org.freedesktop.systemd1.UnitExists" in oci.run(bundle, "-d", check=1).stderr
                assert oci.ids() == [] and other.poll() is None
                assert groups_of(other.pid)["" if UNIFIED else "name=systemd"].endswith("/" + unit)
        finally:
            other.kill()
    wait_until(lambda: nothing_is_left(unit), PATIENCE)
    oci.run(bundle, "-d")
    assert shown(unit, "ActiveState") == {"ActiveState": "active"}


def run_until_failed(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    """A scope fails whose time is over."""
    prefix = "org.systemd.property."
    limits = {prefix + "RuntimeMaxSec": "3", prefix + "TimeoutStopSec": "1", prefix + "CollectMode": "'inactive'"}
    bundle.config["annotations"] = limits
    runtime.run(bundle, "-d")
    wait_until(lambda: shown(unit, "ActiveState")["ActiveState"] == "failed", PATIENCE)
    wait_until(lambda: runtime.state()["status"] == "stopped", PATIENCE)


def test_a_failed_unit_is_cleared_away(oci: Systemd, bundle: Bundle, unit: str) -> None:
    """Debian's runc 1.1.5 leaves it, and then cannot start another of its name."""
    run_until_failed(oci, bundle, unit)
    oci.call("delete", "box")
    assert nothing_is_left(unit)


def test_a_failed_unit_gives_way_to_the_next_of_its_name(oci: Systemd, bundle: Bundle, unit: str) -> None:
    run_until_failed(oci, bundle, unit)
    bundle.config["annotations"] = {}
    oci.run(bundle, "-d", name="again")
    assert shown(unit, "ActiveState") == {"ActiveState": "active"}
    oci.call("delete", "--force", "again")
    assert nothing_is_left(unit)


def test_a_start_that_fails_leaves_nothing(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    bundle.config["process"]["args"] = ["/no/such/program"]
    assert "/no/such/program" in runtime.run(bundle, check=1).stderr
    assert runtime.ids() == []
    wait_until(lambda: nothing_is_left(unit), PATIENCE)


def test_a_limit_that_cannot_be_set_leaves_nothing(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    bundle.config["linux"]["resources"]["cpu"] = {"cpus": "4000"}
    assert "cpu" in runtime.run(bundle, check=1).stderr
    assert runtime.ids() == []
    wait_until(lambda: nothing_is_left(unit), PATIENCE)


def test_life_in_a_scope(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    runtime.create(bundle)
    assert shown(unit, "ActiveState") == {"ActiveState": "active"}
    runtime.call("start", "box")
    runtime.call("exec", "-d", "box", "sleep", "1000")
    wait_until(lambda: len(json.loads(runtime.call("ps", "--format", "json", "box").stdout)) == 2, PATIENCE)
    pids = json.loads(runtime.call("ps", "--format", "json", "box").stdout)
    assert runtime.pid() in pids
    assert json.loads(runtime.call("events", "--stats", "box").stdout)["data"]["pids"]["current"] == 2
    runtime.call("pause", "box")
    runtime.await_status("paused")
    runtime.call("resume", "box")
    runtime.await_status("running")
    systemctl("daemon-reload")
    runtime.await_status("running")
    runtime.call("kill", "box", "KILL")
    wait_until(lambda: runtime.state()["status"] == "stopped", PATIENCE)
    wait_until(lambda: shown(unit, "ActiveState") == {"ActiveState": "inactive"}, PATIENCE)
    runtime.call("delete", "box")
    assert nothing_is_left(unit)


def test_a_frozen_one_can_be_deleted(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    runtime.run(bundle, "-d")
    runtime.call("pause", "box")
    runtime.call("delete", "--force", "box")
    assert nothing_is_left(unit)


def test_systemd_can_stop_it(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    runtime.run(bundle.sh("trap 'exit 0' TERM; while :; do sleep 0.1; done"), "-d")
    systemctl("stop", unit)
    wait_until(lambda: runtime.state()["status"] == "stopped", PATIENCE)
    runtime.call("delete", "box")
    assert nothing_is_left(unit)


def test_groups_inside_go_too(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    runtime.run(bundle, "-d")
    pid = runtime.pid()
    (GROUPS / ("." if UNIFIED else "pids") / groups_of(pid)["" if UNIFIED else "pids"][1:] / "inner/most").mkdir(parents=True)
    runtime.call("delete", "--force", "box")
    assert nothing_is_left(unit)


def test_devices_stay_limited_whatever_systemd_does(oci: Systemd, bundle: Bundle, unit: str) -> None:
    """When it reads its units anew, and when a neighbour has rules of its own: with version 1, runc 1.1's containers are then
    in the slice's group, which allows all."""
    bundle.config["linux"]["devices"] = [
        {"path": f"/dev/own{minor}", "type": "c", "major": 1, "minor": minor, "fileMode": 0o666} for minor in (5, 11)
    ]
    bundle.config["process"]["user"] = {"uid": 0, "gid": 0}
    script = "for n in 5 11; do (: < /dev/own$n) 2>/dev/null && echo $n; done; true"
    oci.run(bundle, "-d")
    before = groups_of(oci.pid())
    assert oci.call("exec", "box", "sh", "-c", script).stdout.split() == ["5"]
    systemctl("daemon-reload")
    assert oci.call("exec", "box", "sh", "-c", script).stdout.split() == ["5"]
    subprocess.run(
        ["systemd-run", "--quiet", "--scope", f"--slice={SLICE}", "-p", "DevicePolicy=strict", "true"],
        check=True,
        timeout=PATIENCE,
    )
    assert groups_of(oci.pid()) == before
    assert oci.call("exec", "box", "sh", "-c", script).stdout.split() == ["5"]


# --- podman, whose own choice systemd is --------------------------------------------------------------------------------
Podman = Callable[..., str]


def test_a_command_that_is_killed_leaves_no_unit(runtime: Systemd, bundle: Bundle, unit: str) -> None:
    """Whenever: what it has made by then is removed by `delete`."""
    runtime.create(bundle)
    group = cgroups_called(unit)[0]
    runtime.call("delete", "--force", "box")
    wait_until(lambda: nothing_is_left(unit), PATIENCE)
    record = runtime.root / "box"
    for sign, seconds in ((record, 0), (group, 0), (group, 0.002), (group, 0.02), (record / "state.json", 0.02)):
        argv = runtime.argv("create", "--bundle", str(bundle.path), "box")
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
            while not os.path.exists(sign) and command.poll() is None:
                pass
            time.sleep(seconds)
            command.kill()
        runtime.call("delete", "--force", "box", check=None)
        wait_until(lambda: nothing_is_left(unit), PATIENCE)
        if runtime.name == "runc":  # which keeps a directory without a record
            shutil.rmtree(record, ignore_errors=True)
        assert not record.exists()


def life_under_podman(podman: Podman, rootfs: Path, above: str, as_user: Sequence[str] = ()) -> None:
    container = podman(
        "run", "-d", "--network=none", "--memory=64m", "--pids-limit=33", "--rootfs", str(rootfs), "sleep", "1000"
    ).split()[-1]
    unit = f"libpod-{container}.scope"
    try:
        assert shown(unit, "Description", as_user=as_user)["Description"].startswith("firkin-oci")
        group = {"ControlGroup": f"{above}/{unit}", "MemoryMax" if UNIFIED else "MemoryLimit": str(64 * M), "TasksMax": "33"}
        assert shown(unit, *group, as_user=as_user) == group
        pid = int(podman("inspect", "-f", "{{.State.Pid}}", container))
        assert groups_of(pid)["" if UNIFIED else "name=systemd"] == f"{above}/{unit}"
        podman("exec", "-d", container, "sleep", "1000")
        wait_until(lambda: limit(pid, "pids", "pids.current", "pids.current") == "2", PATIENCE)
        podman("pause", container)
        podman("unpause", container)
        podman("update", "--memory=128m", container)
        assert limit(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(128 * M)
    finally:
        podman("rm", "--force", "--time=0", container)
    wait_until(lambda: nothing_is_left(unit, as_user), PATIENCE)


def podman_of(directory: Path, as_user: Sequence[str] = ()) -> Podman:
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")

    def call(*words: str) -> str:
        flags = ("--runtime", FIRKIN_OCI, "--cgroup-manager=systemd", "--storage-driver=vfs", "--events-backend=none")
        places = ("--root", f"{directory}/storage", "--runroot", f"{directory}/run", "--tmpdir", f"{directory}/tmp")
        with (directory / "out").open("w+") as out, (directory / "err").open("w+") as err:  # conmon would keep a pipe open
            done = subprocess.run(
                [*as_user, "podman", *flags, *places, *words],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=PATIENCE,
            )
            assert done.returncode == 0, f"podman {words}: {(directory / 'err').read_text()}"
            return (directory / "out").read_text()

    return call


def test_podman(tmp_path: Path, rootfs: Path) -> None:
    life_under_podman(podman_of(tmp_path), rootfs, "/machine.slice")


def test_podman_without_root(rootfs: Path) -> None:
    """The unit is the user's own manager's."""
    if not UNIFIED:
        pytest.skip("this is cgroup version 1, where systemd makes groups for root only")
    user = next((one for one in pwd.getpwall() if one.pw_uid >= 1000 and has_ids(one.pw_name)), None)
    if not user or not shutil.which("newuidmap"):
        pytest.skip("there is no ordinary user here who has subordinate ids")
    systemctl("start", f"user@{user.pw_uid}.service", check=False)
    if not Path(f"/run/user/{user.pw_uid}/systemd/private").exists():
        pytest.skip("the user has no systemd of his own here")
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as home:  # podman wants short names
        shutil.copytree(rootfs, f"{home}/rootfs", symlinks=True)
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", home], check=True)
        env = [f"HOME={home}", f"XDG_RUNTIME_DIR=/run/user/{user.pw_uid}"]
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "env", "--unset=USER", *env]
        above = f"/user.slice/user-{user.pw_uid}.slice/user@{user.pw_uid}.service/user.slice"
        life_under_podman(podman_of(Path(home), as_user), Path(home) / "rootfs", above, as_user)


def has_ids(name: str) -> bool:
    return all(
        Path(f).exists() and re.search(rf"^{name}:", Path(f).read_text(), re.MULTILINE) for f in ("/etc/subuid", "/etc/subgid")
    )


# --- checkpoint and restore ---------------------------------------------------------------------------------------------
COUNT = "n=0; while :; do n=$((n+1)); echo $n > /dev/shm/new; mv /dev/shm/new /dev/shm/count; sleep 0.05; done"


class Images:
    """Where a container's state is between two lives of it. Standard streams that CRIU can have again."""

    def __init__(self, runtime: Systemd, bundle: Bundle, place: Path) -> None:
        if not shutil.which("criu"):
            pytest.skip("criu is not installed")
        done = subprocess.run(["criu", "check"], capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode:
            pytest.skip(f"this criu does not work on this kernel: {done.stderr.strip()[-200:]}")
        self.runtime, self.bundle, self.place = runtime, bundle, place

    def __call__(self, *words: str, check: int = 0) -> str:
        log = self.place / "log"
        log.unlink(missing_ok=True)
        none = subprocess.DEVNULL
        argv = self.runtime.argv("--log", str(log), *words)
        done = subprocess.run(argv, stdin=none, stdout=none, stderr=none, timeout=PATIENCE)
        said = log.read_text() if log.exists() else ""
        assert done.returncode == check, f"{words}: exit {done.returncode}\n{said}"
        return said

    def run(self) -> None:
        self.bundle.sh(COUNT).write()
        self("run", "--detach", "--bundle", str(self.bundle.path), "box")
        wait_until(lambda: self.count() > 1, PATIENCE)

    def checkpoint(self) -> None:
        self("checkpoint", "--image-path", str(self.place / "images"), "box")

    def restore(self, *flags: str, check: int = 0) -> str:
        words = ("restore", "--detach", "--bundle", str(self.bundle.path), "--image-path", str(self.place / "images"))
        return self(*words, *flags, "box", check=check)

    def count(self) -> int:
        return int(self.runtime.call("exec", "box", "sh", "-c", "cat /dev/shm/count || echo 0").stdout)


@pytest.fixture
def images(oci: Systemd, bundle: Bundle, tmp_path: Path) -> Images:
    return Images(oci, bundle, tmp_path)


def test_a_restored_container_has_its_unit_again(images: Images, oci: Systemd, bundle: Bundle, unit: str) -> None:
    """With its limits, in the files and in systemd's eyes; nothing but the container is in it."""
    bundle.config["linux"]["resources"] |= LIMITS
    images.run()
    path = groups_of(oci.pid())["" if UNIFIED else "name=systemd"]
    images.checkpoint()
    assert nothing_is_left(unit)
    images.restore()
    before = images.count()
    assert before > 1
    wait_until(lambda: images.count() > before, PATIENCE)
    expected = {"ActiveState": "active", "Slice": SLICE, "Delegate": "yes", "ControlGroup": path, **TOLD}
    assert shown(unit, *expected) == expected
    assert groups_of(oci.pid())["" if UNIFIED else "name=systemd"] == path
    systemctl("daemon-reload")
    assert limit(oci.pid(), "pids", "pids.max", "pids.max") == "33"
    namespace = os.readlink(f"/proc/{oci.pid()}/ns/pid")
    assert {namespace_of(pid) for pid in json.loads(oci.call("ps", "--format", "json", "box").stdout)} - {""} == {namespace}
    oci.call("pause", "box")
    oci.await_status("paused")
    oci.call("resume", "box")
    oci.call("update", "--pids-limit", "44", "box")
    assert shown(unit, "TasksMax") == {"TasksMax": "44"}
    oci.call("delete", "--force", "box")
    assert nothing_is_left(unit)


def test_restored_once_more(images: Images, oci: Systemd, unit: str) -> None:
    images.run()
    for _ in range(2):
        images.checkpoint()
        assert nothing_is_left(unit)
        images.restore()
    systemctl("stop", unit)
    wait_until(lambda: oci.state()["status"] == "stopped", PATIENCE)
    oci.call("delete", "box")
    assert nothing_is_left(unit)


def test_a_restore_that_fails_leaves_nothing(images: Images, oci: Systemd, unit: str) -> None:
    images.run()
    images.checkpoint()
    (images.place / "images/inventory.img").unlink()
    assert "criu restore failed" in images.restore(check=1)
    assert oci.ids() == []
    wait_until(lambda: nothing_is_left(unit), PATIENCE)


def test_a_restore_does_not_touch_a_unit_that_is_there(images: Images, oci: Systemd, unit: str) -> None:
    images.run()
    images.checkpoint()
    words = ["systemd-run", "--quiet", "--scope", f"--slice={SLICE}", f"--unit={unit}", "sleep", "1000"]
    with subprocess.Popen(words) as other:
        try:
            wait_until(lambda: shown(unit, "ActiveState")["ActiveState"] == "active", PATIENCE)
            assert "UnitExists" in images.restore(check=1)
            assert oci.ids() == [] and other.poll() is None
            assert groups_of(other.pid)["" if UNIFIED else "name=systemd"].endswith("/" + unit)
        finally:
            other.kill()
    wait_until(lambda: nothing_is_left(unit), PATIENCE)


def namespace_of(pid: int) -> str:
    """The pid namespace of a process, "" when it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except FileNotFoundError:
        return ""
