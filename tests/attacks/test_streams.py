"""Standard streams as ways out: a container's ends of its pipes, and the null device, are open files that others have too."""

from __future__ import annotations

import json
from pathlib import Path

from tests.attacks.rig import IMAGE, PYTHON, PYTHON3, Rig
from tests.lab import wait_until

# Puts its output into packet mode (pipe(2), O_DIRECT): whoever reads gets one packet at a time, however many there are.
PACKETS = """
import fcntl, os, time
fcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT)
for burst in range(200):
    for number in range(12): os.write(1, b'packet %d of %d\\n' % (number, burst))
    time.sleep(0.005)
"""
LINES = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"


def test_output_in_packets_stays_ones_own_and_whole(rig: Rig) -> None:
    """All output goes through the keeper's one pipe: what is left in there would be taken for the next container's."""
    with rig.held(*PYTHON, IMAGE, PYTHON3, "-IS", "-c", PACKETS) as hostile:
        with rig.held(IMAGE, "sh", "-c", LINES) as honest:
            for container in (honest, hostile):
                rig.engine.firkin("wait", container)
            wait_until(lambda: "line 2999\n" in rig.logs(honest))
            assert rig.logs(honest) == "".join(f"line {number}\n" for number in range(3000))
        wait_until(lambda: "packet 11 of 199\n" in rig.logs(hostile))
        expected = "".join(f"packet {number} of {burst}\n" for burst in range(200) for number in range(12))
        assert rig.logs(hostile) == expected


# What belongs to an open file and not to a process: its flags (fcntl(2), F_SETFL), who is to get its signals (F_SETOWN), locks.
CHANGE = """
import fcntl, os, sys, time
for fd in map(int, sys.argv[1:]):
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC)
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
os.mkdir('/v/changed')
time.sleep(1000)
"""
LOOK = """
import fcntl, json, os, sys
found = []
for fd in map(int, sys.argv[1:]):
    changed = fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC)
    found.append([os.fstat(fd).st_rdev == os.makedev(1, 3), changed, fcntl.fcntl(fd, fcntl.F_GETOWN)])
open('/v/half', 'w').write(json.dumps(found))
os.rename('/v/half', '/v/found')
"""
UNTOUCHED = [True, 0, 0]


def test_the_null_device_is_opened_for_each_process(rig: Rig, tmp_path: Path) -> None:
    """As input of a container, as all streams of a detached exec: whatever is done to one, others have theirs as it was."""
    changed, found = tmp_path / "changed", tmp_path / "found"
    run, volume = [PYTHON3, "-IS", "-c"], f"-v{tmp_path}:/v"
    with (
        rig.held(*PYTHON, volume, IMAGE, "sleep", "1000") as before,
        rig.held(*PYTHON, volume, IMAGE, *run, CHANGE, "0") as hostile,
    ):
        wait_until(changed.exists)
        rig.run(*PYTHON, volume, IMAGE, *run, LOOK, "0", check=True)
        assert json.loads(found.read_text()) == [UNTOUCHED]
        for container in (hostile, before):
            changed.rmdir()
            found.unlink()
            rig.engine.firkin("exec", "-d", container, *run, CHANGE, "0", "1", "2")
            wait_until(changed.exists)
            rig.engine.firkin("exec", "-d", before, *run, LOOK, "0", "1", "2")
            wait_until(found.exists)
            assert json.loads(found.read_text()) == [UNTOUCHED] * 3
