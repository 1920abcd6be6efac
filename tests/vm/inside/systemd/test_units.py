"""systemd as the first process: it is, it answers, and what it does with groups is what the tests here rely on."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_systemd_is_the_first_process_and_answers() -> None:
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    shown = subprocess.run(["systemctl", "show", "-p", "Version"], capture_output=True, text=True, timeout=60)
    assert shown.stdout.startswith("Version=252"), shown.stderr


def test_a_transient_scope_has_its_limit_in_the_kernel() -> None:
    argv = [
        "systemd-run",
        "--scope",
        "-q",
        "-p",
        "MemoryMax=64M",
        "sh",
        "-c",
        "cat /sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup)/memory.max",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{64 << 20}\n", done.stderr
