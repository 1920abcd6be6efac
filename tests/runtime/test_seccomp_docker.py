"""The default profile beside Debian's dockerd: the same calls, made in a container of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.test_seccomp_profile import ALLOWED, PROBE, REFUSED, default, number, probe

pytestmark = [
    pytest.mark.reference,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("docker"), reason="needs root and docker.io"
    ),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="call numbers of x86_64"),
]

SYSTEM = ("/usr", "/lib", "/lib64", "/bin")

# dockerd 20.10's profile is older. What it had not closed yet, and what it does not know yet:
CLOSED_SINCE = {("socket", 38, 5, 0), ("socket", 40, 1, 0), ("io_uring_setup", 0)}
NEWER = """
    cachestat fchmodat2 map_shadow_stack mseal statmount listmount setxattrat getxattrat listxattrat removexattrat
    futex_wake futex_wait futex_requeue uretprobe lsm_get_self_attr
"""
KNOWN_SINCE = NEWER.split()


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[list[str]]:
    """A docker command line for a dockerd in namespaces of its own."""
    socket = f"unix://{tmp_path}/docker.sock"
    directories = ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "--pidfile", f"{tmp_path}/pid"]
    # A hybrid machine's unified hierarchy without controllers confuses its runc.
    prepare = 'ip link set lo up; umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
    command = ["unshare", "-nm", "--propagation", "private", "sh", "-c", prepare, "sh"]
    flags = ["-H", socket, "--bridge", "none", "--iptables=false", "--storage-driver", "vfs"]
    with open(tmp_path / "log", "wb") as log:
        daemon = subprocess.Popen([*command, "dockerd", *directories, *flags], stdout=log, stderr=log)
    client = ["docker", "-H", socket]
    try:
        deadline = time.monotonic() + 30
        while subprocess.run([*client, "version"], capture_output=True, timeout=10, check=False).returncode:
            assert daemon.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield client
    finally:
        daemon.terminate()
        daemon.wait(30)


def in_docker(docker: list[str], calls: list[tuple[Any, ...]], tmp_path: Path) -> list[int]:
    """The probe's answers in a container that has the host's Python, read-only."""
    subprocess.run(["tar", "-cf", tmp_path / "empty.tar", "-T", "/dev/null"], check=True)
    subprocess.run([*docker, "import", tmp_path / "empty.tar", "empty"], check=True, capture_output=True, timeout=30)
    volumes = [f"-v{path}:{path}:ro" for path in SYSTEM if os.path.exists(path)] + [f"-v{PROBE}:/probe.py:ro"]
    numbered = json.dumps([[number(name), *rest] for name, *rest in calls])
    python = os.path.realpath(shutil.which("python3", path="/usr/bin") or sys.executable)
    argv = [*docker, "run", "--rm", "--network", "none", *volumes, "empty", python, "-I", "/probe.py", numbered]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[int] = json.loads(done.stdout)
    return answers


def test_we_answer_as_docker_does_but_for_what_has_changed_since(docker: list[str], tmp_path: Path) -> None:
    calls = [call for call in (*ALLOWED, *REFUSED) if call[0] not in KNOWN_SINCE]
    theirs = dict(zip(calls, in_docker(docker, calls, tmp_path), strict=True))
    ours = dict(zip(calls, probe(default(), calls, tmp_path), strict=True))
    different = {call: (ours[call], theirs[call]) for call in calls if ours[call] != theirs[call]}
    assert set(different) <= CLOSED_SINCE, different
