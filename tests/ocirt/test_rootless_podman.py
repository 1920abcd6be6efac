"""Debian's podman without root: it calls a runtime as root of a user namespace, in its user's name. With runc beside."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, busybox_tar
from tests.ocirt.test_ordinary_user import GID, UID, home, lab

__all__ = ["home", "lab"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Call = Callable[..., str]


@pytest.fixture(params=["firkin-oci", pytest.param("runc", marks=pytest.mark.reference)])
def podman(request: pytest.FixtureRequest, lab: Lab, home: Path, tmp_path: Path) -> Iterator[Call]:
    runtime = str(home / "firkin-oci") if request.param == "firkin-oci" else shutil.which("runc")
    if not runtime or not shutil.which("podman") or not shutil.which("newuidmap") or not Path("/etc/subuid").exists():
        pytest.skip("podman, newuidmap, /etc/subuid or runc is missing")
    place = Path(tempfile.mkdtemp(dir=home))
    (place / "run").mkdir(mode=0o700)
    (place / "storage.conf").write_text(f'[storage]\ndriver="vfs"\nrunroot="{place}/r"\ngraphroot="{place}/g"\n')
    (place / "containers.conf").write_text('[engine]\ncgroup_manager="cgroupfs"\nevents_logger="none"\n')
    busybox_tar(place)
    subprocess.run(["chown", "-Rh", f"{UID}:{GID}", place], check=True)
    settings = [f"CONTAINERS_STORAGE_CONF={place}/storage.conf", f"CONTAINERS_CONF={place}/containers.conf"]
    user = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", "env", "-i", *settings]
    user += ["PATH=/usr/bin:/bin:/usr/sbin", "USER=ordinary", f"HOME={place}", f"XDG_RUNTIME_DIR={place}/run"]

    def call(*words: str, check: int = 0) -> str:
        """What it prints; to a file, for what it starts may keep a pipe open."""
        with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
            done = lab.run(
                *user, "podman", "--runtime", runtime, *words, check=False, stdout=out, stderr=err, cwd="/", timeout=100
            )
        assert done.returncode == check, (tmp_path / "err").read_text()
        return (tmp_path / "out").read_text()

    try:
        call("import", f"{place}/busybox.tar", "box")
        yield call
        call("rm", "--force", "--all", "--time", "0")
    finally:
        for file in place.rglob("pause.pid"):  # a process of podman's that keeps its user namespace
            os.kill(int(file.read_text()), signal.SIGKILL)
        shutil.rmtree(place, ignore_errors=True)


def test_it_runs_containers(podman: Call) -> None:
    assert podman("run", "--rm", "--net", "host", "box", "sh", "-c", "id -u; echo x > /dev/null && echo well").split() == [
        "0",
        "well",
    ]
    podman("run", "--rm", "--net", "none", "--user", "nobody", "box", "sh", "-c", "exit $(($(id -u) % 7))", check=65534 % 7)


def test_a_container_that_stays(podman: Call) -> None:
    podman("run", "--detach", "--net", "host", "--name", "long", "box", "sleep", "1000")
    assert podman("exec", "--user", "nobody", "long", "id", "-u") == "65534\n"
    podman("kill", "long")
    assert podman("wait", "long") == "137\n"
