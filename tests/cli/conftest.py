from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.recorder import Recorder
from tests.lab import FIRKIN, Lab, UnixConnection, busybox_tar, wait_until

IMAGE = "bb:latest"


class Reference:
    """A real dockerd in a laboratory, with Docker's client and Firkin's side by side."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.sock = str(lab.dir / "docker.sock")
        self.config = lab.dir / "client"
        self.config.mkdir()
        self.env = {**os.environ, "DOCKER_HOST": "unix://" + self.sock, "DOCKER_CONFIG": str(self.config), "TZ": "UTC"}
        self.env.pop("FIRKIN_HOST", None)
        lab.run("sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; sysctl -qw net.ipv4.ip_forward=1", check=False)
        roots = ["--data-root", str(lab.dir / "data"), "--exec-root", str(lab.dir / "exec"), "--pidfile", str(lab.dir / "pid")]
        self.process = lab.start("dockerd", "-H", "unix://" + self.sock, "--storage-driver", "overlay2", *roots)
        wait_until(self._answers, 60)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.lab.dir / "log").read_text()[-2000:]
        try:
            return UnixConnection(self.sock).call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def docker(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self._run("docker", *argv, **options)

    def firkin(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self._run(FIRKIN, *argv, **options)

    def _run(self, *argv: str, check: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
        """A client needs nothing of the laboratory but the socket."""
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=60, check=check, **options)


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    for program in ("docker", "dockerd", "containerd"):
        if not shutil.which(program):
            pytest.skip(f"no {program} on this machine")
    lab = Lab()
    try:
        reference = Reference(lab)
        reference.docker("import", str(busybox_tar(lab.dir)), IMAGE, check=True)
        yield reference
        reference.docker("rm", "-f", *reference.docker("ps", "-aq").stdout.split())
    finally:
        lab.close()
        for mount in _mounts_below(str(lab.dir)):
            subprocess.run(["umount", "-l", mount], check=False)


def _mounts_below(directory: str) -> list[str]:
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return [line.split()[1] for line in mounts if line.split()[1].startswith(directory)]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()
