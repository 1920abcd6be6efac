"""Bundles of a static busybox, and the runtimes to put them through: ours, and runc as the reference."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ROOT, SLOWNESS, busybox_tar

FIRKIN_OCI = str(ROOT / "firkin-oci")
CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin:/usr/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {
            kind: ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"] for kind in ("bounding", "effective", "permitted")
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
        "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
}


class Bundle:
    """A directory with a root and a configuration to change and `write`."""

    def __init__(self, path: Path, rootfs: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.config = copy.deepcopy(CONFIG)
        self.config["root"]["path"] = str(rootfs)

    def sh(self, script: str) -> Bundle:
        self.config["process"]["args"] = ["sh", "-c", script]
        return self

    def write(self) -> Bundle:
        (self.path / "config.json").write_text(json.dumps(self.config))
        return self


class Runtime:
    """A runtime's command line with a state directory of its own."""

    def __init__(self, program: str, root: Path) -> None:
        self.program, self.root = program, root
        self.name = Path(program).name
        self.calls = 0

    def argv(self, *words: str) -> list[str]:
        return [self.program, "--root", str(self.root), *words]

    def call(self, *words: str, check: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """Standard streams are files: a container that stays would keep a pipe open."""
        self.calls += 1  # files of its own for each call, for a container goes on writing to those it was started with
        out, err = (self.root.parent / f"{self.name}-{self.calls}.{stream}" for stream in ("out", "err"))
        with out.open("w") as stdout, err.open("w") as stderr:
            options = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr, "timeout": 30 * SLOWNESS, **options}
            done = subprocess.run(self.argv(*words), **options)
        result = subprocess.CompletedProcess(done.args, done.returncode, out.read_text(), err.read_text())
        if check is not None:
            assert result.returncode == check, f"{words}: exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def run(self, bundle: Bundle, *flags: str, name: str = "box", check: int | None = 0) -> subprocess.CompletedProcess[str]:
        bundle.write()
        return self.call("run", "--bundle", str(bundle.path), *flags, name, check=check)

    def create(self, bundle: Bundle, *flags: str, name: str = "box", check: int | None = 0) -> subprocess.CompletedProcess[str]:
        bundle.write()
        return self.call("create", "--bundle", str(bundle.path), *flags, name, check=check)

    def state(self, name: str = "box") -> dict[str, Any]:
        return dict(json.loads(self.call("state", name).stdout))

    def await_status(self, wanted: str, name: str = "box") -> None:
        end = time.monotonic() + 10 * SLOWNESS
        while (status := self.state(name)["status"]) != wanted:
            assert time.monotonic() < end, f"still {status}, not {wanted}"
            time.sleep(0.01)

    def ids(self) -> list[str]:
        return self.call("list", "-q").stdout.split()

    def close(self) -> None:
        for name in self.ids():
            self.call("delete", "--force", name, check=None)


def cgroups_called(name: str) -> list[Path]:
    """Groups of this name in any hierarchy."""
    found = subprocess.run(["find", "/sys/fs/cgroup", "-type", "d", "-name", name], capture_output=True, text=True)
    return [Path(line) for line in found.stdout.splitlines()]


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not Path("/bin/busybox").exists():
        pytest.skip("/bin/busybox is missing (package busybox-static)")
    directory = tmp_path_factory.mktemp("busybox")
    busybox_tar(directory)
    (directory / "rootfs/etc/group").write_text("root:x:0:\nwheel:x:10:root,nobody\n")
    return directory / "rootfs"


@pytest.fixture
def bundle(tmp_path: Path, busybox_root: Path) -> Bundle:
    return Bundle(tmp_path / "bundle", busybox_root)


@pytest.fixture
def rootfs(tmp_path: Path, busybox_root: Path, bundle: Bundle) -> Path:
    """A root of its own for a test that writes to it."""
    own = bundle.path / "rootfs"
    shutil.copytree(busybox_root, own, symlinks=True)
    bundle.config["root"] = {"path": "rootfs"}
    return own


@pytest.fixture
def command_line() -> type[Runtime]:
    """How runtimes are called: a module that calls them otherwise has a fixture of this name of its own."""
    return Runtime


@pytest.fixture
def oci(tmp_path: Path, command_line: type[Runtime]) -> Iterator[Runtime]:
    runtime = command_line(FIRKIN_OCI, tmp_path / "firkin-oci")
    yield runtime
    runtime.close()


@pytest.fixture
def runc(tmp_path: Path, command_line: type[Runtime]) -> Iterator[Runtime]:
    program = shutil.which("runc")
    if not program:
        pytest.skip("runc is not installed")
    runtime = command_line(program, tmp_path / "runc")
    yield runtime
    runtime.close()


@pytest.fixture(params=["firkin-oci", pytest.param("runc", marks=pytest.mark.reference)])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """What a test says of one must hold for the other."""
    return request.getfixturevalue("oci" if request.param == "firkin-oci" else "runc")  # type: ignore[no-any-return]


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    def wait(condition: Callable[[], object], seconds: float = 10) -> None:
        end = time.monotonic() + seconds * SLOWNESS
        while not condition():
            assert time.monotonic() < end, "not in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def box(runtime: Runtime, bundle: Bundle) -> Runtime:
    """A container that just waits."""
    runtime.run(bundle.sh("exec sleep 1000"), "--detach")
    return runtime
