"""Standard streams as ways out: a container's ends of its pipes, and the null device, are open files that others have too."""

from __future__ import annotations

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
