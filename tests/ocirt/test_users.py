"""Those who use an OCI runtime use this one: Debian's podman, dockerd and containerd, each running containers through it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, busybox_tar, wait_until
from tests.ocirt.conftest import FIRKIN_OCI, cgroups_called

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if not Path("/bin/busybox").exists():
        pytest.skip("/bin/busybox is missing (package busybox-static)")
    made = Lab()
    # Older programs take a version 2 hierarchy beside those of version 1 for more than it is.
    made.run("sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; sysctl -qw net.ipv4.ip_forward=1")
    busybox_tar(made.dir)
    yield made
    made.close()
    for group in (one for name in ("docker", "default", "libpod_parent") for one in cgroups_called(name)):
        for directory in (group / "conmon", group):
            with contextlib.suppress(OSError):  # not there, somebody else's, or not empty
                directory.rmdir()


def client(lab: Lab, program: str, *first: str, env: dict[str, str] | None = None) -> Call:
    """Run `program` in the laboratory. Its output goes to files: what it starts may keep a pipe open."""

    def call(*words: str, check: int = 0) -> subprocess.CompletedProcess[str]:
        out, err = lab.dir / "stdout", lab.dir / "stderr"
        with out.open("w") as stdout, err.open("w") as stderr:
            done = lab.run(
                program, *first, *words, check=False, env={**os.environ, **(env or {})}, stdout=stdout, stderr=stderr, timeout=60
            )  # fmt: skip
        text, errors = out.read_text(), err.read_text()
        assert done.returncode == check, f"{program} {words}: exit {done.returncode}\n{text}\n{errors}"
        return subprocess.CompletedProcess(done.args, done.returncode, text, errors)

    return call


def need(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def podman(lab: Lab) -> Call:
    need("podman")
    (lab.dir / "storage.conf").write_text(
        f'[storage]\ndriver="overlay"\nrunroot="{lab.dir}/run"\ngraphroot="{lab.dir}/graph"\n'
    )
    (lab.dir / "containers.conf").write_text(
        '[containers]\ndefault_ulimits=["nofile=1024:1024","nproc=4096:4096"]\n'
        '[engine]\ncgroup_manager="cgroupfs"\nevents_logger="none"\n'
    )
    env = {"CONTAINERS_STORAGE_CONF": str(lab.dir / "storage.conf"), "CONTAINERS_CONF": str(lab.dir / "containers.conf")}
    call = client(lab, "podman", "--runtime", FIRKIN_OCI, env=env)
    call("import", str(lab.dir / "busybox.tar"), "box")
    return call


def test_podman_runs_containers(podman: Call) -> None:
    assert podman("run", "--rm", "--net", "none", "box", "echo", "hello").stdout == "hello\n"
    assert (
        podman(
            "run", "--rm", "--net", "none", "--user", "nobody", "-m", "64m", "box", "sh", "-c", "id -u; exit 5", check=5
        ).stdout
        == "65534\n"
    )
    assert "/dev/pts/0" in podman("run", "--rm", "-t", "--net", "none", "box", "tty").stdout
    assert "not found" in podman("run", "--rm", "--net", "none", "box", "nope", check=127).stderr
    if any(Path(one).exists() for one in ("/usr/lib/cni/bridge", "/usr/lib/podman/netavark")):  # podman's own network
        assert "eth0" in podman("run", "--rm", "box", "ip", "addr").stdout


def test_podmans_life_of_a_container(podman: Call) -> None:
    podman("run", "-d", "--net", "none", "--name", "long", "box", "sleep", "1000")
    assert podman("inspect", "long", "--format", "{{.OCIRuntime}} {{.State.Status}}").stdout.split() == [FIRKIN_OCI, "running"]
    assert podman("exec", "long", "echo", "inside").stdout == "inside\n"
    assert podman("exec", "long", "sh", "-c", "exit 6", check=6).stdout == ""
    assert "/dev/pts/" in podman("exec", "-t", "long", "tty").stdout
    podman("pause", "long")
    assert podman("inspect", "long", "--format", "{{.State.Status}}").stdout == "paused\n"
    podman("unpause", "long")
    assert "sleep" in podman("top", "long").stdout
    podman("kill", "long")
    podman("rm", "-f", "long")


@pytest.fixture(scope="module")
def docker(lab: Lab) -> Call:
    need("dockerd", "docker")
    socket = f"unix://{lab.dir}/docker.sock"
    lab.start(
        "dockerd", "--data-root", str(lab.dir / "data"), "--exec-root", str(lab.dir / "exec"), "-H", socket,
        "--pidfile", str(lab.dir / "pid"), "--storage-driver", "overlay2", "--add-runtime", f"firkin={FIRKIN_OCI}",
        log="dockerd.log",
    )  # fmt: skip
    env = {"DOCKER_HOST": socket, "DOCKER_CONFIG": str(lab.dir)}
    wait_until(lambda: lab.run("docker", "version", check=False, env={**os.environ, **env}).returncode == 0, 60)
    call = client(lab, "docker", env=env)
    call("import", str(lab.dir / "busybox.tar"), "box")
    return call


def test_dockerd_runs_containers_on_its_network(docker: Call) -> None:
    """dockerd moves the network interface in by a prestart hook."""
    run = ("run", "--runtime", "firkin", "--rm")
    assert docker(*run, "box", "echo", "hello").stdout == "hello\n"
    assert (
        docker(
            *run,
            "-m",
            "64m",
            "--user",
            "nobody",
            "box",
            "sh",
            "-c",
            "id -u; ip -o addr show eth0 | grep -c inet; exit 5",
            check=5,
        ).stdout
        == "65534\n1\n"
    )
    assert "/dev/pts/0" in docker(*run, "-t", "box", "tty").stdout
    assert "executable file not found" in docker(*run, "box", "nope", check=127).stderr
    assert docker(*run, "--privileged", "box", "sh", "-c", "grep CapEff /proc/self/status | cut -f2").stdout.startswith("00000")


def test_dockerds_life_of_a_container(docker: Call) -> None:
    docker("run", "--runtime", "firkin", "-d", "--name", "long", "-m", "64m", "box", "sleep", "1000")
    assert docker("inspect", "long", "--format", "{{.HostConfig.Runtime}} {{.State.Status}}").stdout.split() == [
        "firkin",
        "running",
    ]
    assert docker("exec", "long", "echo", "inside").stdout == "inside\n"
    docker("exec", "long", "nope", check=126)  # what dockerd makes of runc's words too
    assert "/dev/pts/" in docker("exec", "-t", "long", "tty").stdout
    assert "sleep 1000" in docker("top", "long").stdout
    docker("update", "-m", "32m", "--memory-swap", "64m", "long")
    assert docker("exec", "long", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes").stdout == f"{32 << 20}\n"
    docker("pause", "long")
    docker("unpause", "long")
    docker("stop", "-t", "1", "long")
    assert docker("inspect", "long", "--format", "{{.State.ExitCode}}").stdout == "137\n"
    docker("start", "long")
    docker("rm", "-f", "long")


@pytest.fixture(scope="module")
def ctr(lab: Lab) -> Call:
    need("containerd", "ctr")
    socket = lab.dir / "containerd.sock"
    (lab.dir / "containerd.toml").write_text(
        f'version=2\nroot="{lab.dir}/containerd"\nstate="{lab.dir}/containerd-run"\n[grpc]\naddress="{socket}"\n'
    )
    lab.start("containerd", "-c", str(lab.dir / "containerd.toml"), log="containerd.log")
    wait_until(socket.exists, 30)
    return client(lab, "ctr", "-a", str(socket))


def test_containerds_ctr(ctr: Call, lab: Lab) -> None:
    root = ("--runc-binary", FIRKIN_OCI, "--rootfs", str(lab.dir / "rootfs"))
    assert ctr("run", "--rm", *root, "one", "/bin/echo", "hello").stdout == "hello\n"
    ctr("run", "--rm", *root, "one", "/bin/sh", "-c", "exit 6", check=6)
    assert "executable file not found" in ctr("run", "--rm", *root, "one", "nope", check=1).stderr
    ctr("run", "-d", *root, "two", "/bin/sleep", "1000")
    assert ctr("task", "exec", "--exec-id", "e", "two", "/bin/echo", "inside").stdout == "inside\n"
    assert "RUNNING" in ctr("task", "ls").stdout
    ctr("task", "pause", "two")
    assert "PAUSED" in ctr("task", "ls").stdout
    ctr("task", "resume", "two")
    ctr("task", "kill", "-s", "KILL", "two")
    wait_until(lambda: "STOPPED" in ctr("task", "ls").stdout)
    ctr("task", "rm", "two")
    ctr("container", "rm", "two")
