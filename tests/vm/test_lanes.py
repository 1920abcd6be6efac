"""The process that runs the machines: it leaves nothing, however the one that started it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ROOT, wait_until
from tests.vm import image

SESSION = """
import signal
from tests.vm.lanes import Lanes
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored in what a shell has put into the background
lanes = Lanes(["plain"])
print(lanes.pid, flush=True)
try:
    signal.pause()
except KeyboardInterrupt:
    lanes.close()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_session_that_ends(number: signal.Signals) -> None:
    if lacking := image.missing():
        pytest.skip(lacking)
    with subprocess.Popen([sys.executable, "-c", SESSION], cwd=ROOT, stdout=subprocess.PIPE) as session:
        try:
            assert session.stdout
            lane = int(session.stdout.readline())
            wait_until(lambda: any(path.is_dir() for path in scratch(lane)) and children(lane), 60)  # it is at work
            working = children(lane)
            session.send_signal(number)
            session.wait(30)
        finally:
            session.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (lane, *working)), 60)
    assert not scratch(lane)


def scratch(lane: int) -> list[Path]:
    return list(Path("/var/tmp").glob(f"firkin-lane-{lane}-*"))


def children(lane: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{lane}/task/{lane}/children").read_text().split()]
    except OSError:
        return []
