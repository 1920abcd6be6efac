"""docs/tour.md is a program: its blocks, put together, make a container, and leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/tour.md").read_text(), re.DOTALL)


def test_the_tour_makes_a_container(tmp_path: Path) -> None:
    program = tmp_path / "tour.py"
    program.write_text("\n".join(BLOCKS))
    command = ["unshare", "-nm", "--propagation", "private", sys.executable, str(program)]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "I am 0 on tour, process 1 of:"
    processes = [line.split() for line in lines[2 : lines.index("I see / with bin dev proc, interfaces all default lo")]]
    assert processes[0] == ["1", "busybox"] and all(int(pid) < 20 for pid, _ in processes)
    assert lines[-4:] == [
        "CapEff:\t0000000000000021",
        "0 /proc/interrupts",
        "and may not touch the machine",
        "exit code 0; it left behind: written inside",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["tour.py"]
    assert not list(Path("/sys/fs/cgroup").glob("**/tour-*"))


def test_the_tour_is_about_sixty_lines() -> None:
    code = [line for line in "".join(BLOCKS).splitlines() if line.strip() and not line.startswith("busybox")]
    assert len(code) <= 75
