"""`firkin-oci`: what its callers' names and configurations may not reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.attacks.rig import PYTHON3
from tests.lab import ROOT

RUNTIME = str(ROOT / "firkin-oci")
NAMES = ("../victim", "..", ".", "a/../../victim", "/victim", "", "a\nb", "a b", "x" * 2000)
COMMANDS = (
    "create", "run", "start", "state", "kill", "delete", "delete --force", "exec", "pause", "events --stats", "ps", "update",
    "checkpoint", "restore",
)  # fmt: skip


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory that looks like a container's, beside the runtime's root; and a bundle."""
    bundle = tmp_path / "bundle"
    (bundle / "rootfs/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", bundle / "rootfs/bin/sh")
    (tmp_path / "root").mkdir()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "state.json").write_text(json.dumps({"id": "victim", "pid": os.getpid(), "start_time": 1}))
    (victim / "kept").write_text("kept")
    return victim


@pytest.mark.parametrize("name", NAMES, ids=[repr(name)[:12] for name in NAMES])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_id_is_no_path(victim: Path, command: str, name: str) -> None:
    """Not to make, to read or to remove a directory by."""
    base = victim.parent
    words = command.split()
    tail = {"exec": ["true"], "kill": ["KILL"]}.get(words[0], [])
    images = ["--image-path", str(base / "bundle")] if words[0] in ("checkpoint", "restore") else []
    bundle = ["--bundle", str(base / "bundle")] if words[0] in ("create", "run", "restore") else []
    before = sorted(base.rglob("*"))
    argv = [RUNTIME, "--root", str(base / "root"), *words, *images, *bundle, name, *tail]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode and "Traceback" not in done.stderr and (victim / "kept").read_text() == "kept"
    assert sorted(base.rglob("*")) == before


@pytest.mark.parametrize("how", ["command", "name in $PATH", "script", "script of a script", "another name"])
def test_a_program_that_is_the_runtimes_own(tmp_path: Path, how: str) -> None:
    """This runtime is executed the ordinary way; the file of its program could be written to by what is made of it."""
    root = tmp_path / "rootfs"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/sh")
    (root / "bin/exe").symlink_to("/proc/self/exe")
    for name, interpreter in (("script", "/proc/self/exe -ISc"), ("second", "/bin/script")):
        (root / "bin" / name).write_text(f"#!{interpreter}\nprint('executed')\n")
        (root / "bin" / name).chmod(0o755)
    commands = {
        "command": ["/proc/self/exe"],
        "name in $PATH": ["exe"],
        "script": ["/bin/script"],
        "script of a script": ["/bin/second"],
        "another name": [f"/usr/bin/{Path(PYTHON3).name}"],
    }
    subprocess.run([RUNTIME, "spec"], cwd=tmp_path, check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": [*commands[how], "-ISE", "-c", "print('executed')"]}
    for path in ("/usr", "/lib", "/lib64"):
        if os.path.isdir(path):
            config["mounts"].append({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]})
    (tmp_path / "config.json").write_text(json.dumps(config))
    argv = ["unshare", "-nm", "--propagation", "private", RUNTIME, "--root", str(tmp_path / "root"), "run", "own-program"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    if how == "another name":  # the file as the bundle has it, by a mount of its own
        assert done.stdout == "executed\n", done
    else:
        assert done.returncode and "this is the runtime's own program" in done.stderr and not done.stdout, done
