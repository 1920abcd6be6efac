"""A /dev that is to be read-only. On runc too."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.ocirt.conftest import Bundle, Runtime


@pytest.mark.parametrize("terminal", [False, True])
def test_devices_on_a_read_only_file_system(runtime: Runtime, bundle: Bundle, terminal: bool) -> None:
    """Their nodes and links are made before, and so is the terminal's; what is mounted below stays as it is."""
    one = next(one for one in bundle.config["mounts"] if one["destination"] == "/dev")
    one["options"].append("ro")
    bundle.config["process"]["terminal"] = terminal
    script = "touch /dev/x || echo refused; echo x > /dev/null && touch /dev/shm/x && readlink /dev/fd; ls /dev/console; true"
    words = " ".join(runtime.argv("run", "-b", str(bundle.sh(script).write().path), "box"))
    if terminal:
        words = f"script -qec {shlex.quote(words)} /dev/null"
    done = subprocess.run(words, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ("/dev/console" in done.stdout.split()) is terminal
    lines = done.stdout.replace("\r", "").replace("^@", "").splitlines()  # script(1) passes on the end of its input
    assert "refused" in lines and "/proc/self/fd" in lines, done
