"""Containers that take all they can get: with limits set, the host and the engine stay responsive, and ending them ends it.

Limits are the user's to set, here as with Docker: without them a container may use the whole machine."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time

import pytest

from tests.attacks.rig import IMAGE, PYTHON, PYTHON3, Rig
from tests.lab import wait_until

SECONDS = 3.0
LIMITS = ["--pids-limit", "200", "--memory", "64m", "--cpus", "0.5", "--log-opt", "max-size=1m", "--network", "none"]

GREEDY = {
    "a fork bomb": "bomb() { bomb | bomb & }; while :; do bomb; done",
    "a hoard of memory": "while :; do (x=aaaaaaaa; while :; do x=$x$x; done); done",
    "memory as files": "mount | grep -q shm; while :; do cat /dev/zero > /dev/shm/x; cat /dev/zero > /dev/shm/y; rm -f /dev/shm/*; done",
    "a flood of output": "yes 'all work and no play makes jack a dull boy' & yes 2 >&2",
    "a crowd of zombies": "while :; do for i in 1 2 3 4 5 6 7 8 9; do (true &) ; done; done",
}


@pytest.mark.parametrize("script", GREEDY.values(), ids=GREEDY)
def test_the_engine_answers_meanwhile(rig: Rig, script: str) -> None:
    with rig.held(*LIMITS, IMAGE, "sh", "-c", script) as container:
        answers, starts, end = [], [], time.monotonic() + SECONDS
        while time.monotonic() < end:
            began = time.monotonic()
            status, _ = rig.engine.api().call("GET", f"/containers/{container}/json")
            answers.append(time.monotonic() - began)
            assert status == 200
            began = time.monotonic()
            assert rig.alive()
            starts.append(time.monotonic() - began)
            assert subprocess.run(["true"], timeout=5, check=False).returncode == 0
        assert statistics.median(answers) < 0.5 and max(answers) < 5, answers
        assert statistics.median(starts) < 2 and max(starts) < 10, starts
        began = time.monotonic()
        rig.engine.firkin("kill", container, check=False)
        rig.engine.firkin("wait", container)
        assert time.monotonic() - began < 10
        group = rig.engine.dir / "data/containers" / container
        sizes = [path.stat().st_size for path in group.glob("*.log*")]
        assert sum(sizes) < 3 << 20, sizes


def test_a_fork_bomb_stops_at_its_limit_and_leaves_nobody(rig: Rig) -> None:
    # Not its first process, which would end with the first fork that fails; and with memory for all that may be forked.
    script = f"({GREEDY['a fork bomb']}) & exec sleep 1000"
    with rig.held(*LIMITS, "--memory", "512m", IMAGE, "sh", "-c", script) as container:
        wait_until(lambda: "can't fork" in rig.engine.firkin("logs", container).stderr, 60)
        _, found = rig.engine.api().call("GET", f"/containers/{container}/top?ps_args=-o+pid")
        pids = [int(row[0]) for row in found["Processes"]]
        assert len(pids) <= 200
    wait_until(lambda: not any(_is_alive(pid) for pid in pids), 10)


def _is_alive(pid: int) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True, check=False).returncode == 0


def test_a_hoard_of_memory_is_ended_alone(rig: Rig) -> None:
    """The kernel ends it, and of the engine's own processes none."""
    helpers = {rig.engine.helper(name) for name in ("keeper", "launcher")}
    done = rig.run("--memory", "32m", "--memory-swap", "32m", IMAGE, "sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done")
    assert done.returncode == 137
    assert {rig.engine.helper(name) for name in ("keeper", "launcher")} == helpers


# fcntl(2), F_SETLEASE: the kernel asks whoever holds the lease to give it up, and for /proc/sys/fs/lease-break-time seconds
# makes everybody else wait who wants to write.
LEASE = """
import fcntl, os, signal, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
for path in ('/etc/hosts', '/etc/resolv.conf', '/etc/hostname', '/leased'):
    fcntl.fcntl(os.open(path, os.O_RDONLY | os.O_CREAT), fcntl.F_SETLEASE, fcntl.F_RDLCK)
print('leased', flush=True)
time.sleep(1000)
"""


def test_leases_on_files_of_the_engines_do_not_hold_it_up(rig: Rig) -> None:
    """It writes those files anew when a container's networks change."""
    rig.engine.firkin("network", "create", "more")
    try:
        with rig.held(*PYTHON, IMAGE, PYTHON3, "-IS", "-c", LEASE) as container:
            wait_until(lambda: "leased" in rig.logs(container))
            connecting = threading.Thread(target=rig.engine.firkin, args=("network", "connect", "more", container))
            connecting.start()
            answers, end = [], time.monotonic() + SECONDS
            while time.monotonic() < end or connecting.is_alive():
                began = time.monotonic()
                assert rig.engine.api().call("GET", "/_ping")[0] == 200
                answers.append(time.monotonic() - began)
            connecting.join()
            assert max(answers) < 20, answers
    finally:
        rig.engine.firkin("network", "rm", "more")
