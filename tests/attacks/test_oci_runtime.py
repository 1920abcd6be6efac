"""`firkin-oci`: what its callers' names and configurations may not reach."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.attacks.rig import PYTHON3
from tests.lab import ROOT, wait_until

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
    bundle_with_python(tmp_path, [*commands[how], "-ISE", "-c", "print('executed')"])
    argv = ["unshare", "-nm", "--propagation", "private", RUNTIME, "--root", str(tmp_path / "root"), "run", "own-program"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    if how == "another name":  # the file as the bundle has it, by a mount of its own
        assert done.stdout == "executed\n", done
    else:
        assert done.returncode and "this is the runtime's own program" in done.stderr and not done.stdout, done


def group_shown(pid: int | str) -> int:
    """The group that files of /proc/PID belong to: the process's own, or root's if it may not be looked into; proc(5)."""
    return os.stat(f"/proc/{pid}/status").st_gid


def test_a_command_that_enters_a_container_cannot_be_looked_into(tmp_path: Path) -> None:
    """Nor one that runs hooks. Their processes say who they belong to, for they are run with a group other than root's."""
    other = ["setpriv", "--regid", "54321", "--clear-groups"]
    with subprocess.Popen([*other, "sleep", "100"]) as naive:
        wait_until(lambda: Path(f"/proc/{naive.pid}/comm").read_text() == "sleep\n")
        assert group_shown(naive.pid) == 54321
        naive.kill()
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    for name in ("sh", "sleep"):
        shutil.copy("/bin/busybox", tmp_path / "rootfs/bin" / name)
    subprocess.run([RUNTIME, "spec"], cwd=tmp_path, check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    script = f"stat -c %g /proc/$PPID/status >> {tmp_path}/seen"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}
    config["hooks"] = {kind: [hook] for kind in ("createRuntime", "createContainer", "poststart", "poststop")}
    config["process"] |= {"terminal": False, "args": ["sleep", "1000"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    runtime = [*other, RUNTIME, "--root", str(tmp_path / "root")]

    def call(*words: str) -> None:
        silent = subprocess.DEVNULL
        subprocess.run([*runtime, *words], check=True, cwd=tmp_path, stdin=silent, stdout=silent, timeout=60)

    call("create", "seen")
    try:
        call("start", "seen")
        within, pipe = [*runtime, "exec", "seen", "sh", "-c", "echo in; read line"], subprocess.PIPE
        with subprocess.Popen(within, cwd=tmp_path, stdin=pipe, stdout=pipe) as added:
            assert added.stdout and added.stdout.readline() == b"in\n"
            assert group_shown(added.pid) == 0
            added.communicate(b"\n", timeout=60)
    finally:
        call("delete", "--force", "seen")
    assert (tmp_path / "seen").read_text().split() == ["0"] * 4


def bundle_with_python(bundle: Path, argv: list[str]) -> None:
    """The configuration of a process in `bundle`/rootfs, with the host's Python in it."""
    subprocess.run([RUNTIME, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": argv}
    for path in ("/usr", "/lib", "/lib64"):
        if os.path.isdir(path):
            config["mounts"].append({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]})
    (bundle / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("runtime", [RUNTIME, pytest.param("runc", marks=pytest.mark.reference)])
def test_a_null_device_of_the_callers_is_not_lent(tmp_path: Path, runtime: str) -> None:
    """Its flags belong to what was opened, and would be changed for the caller, and all it gives the same to."""
    if not shutil.which(runtime):
        pytest.skip(f"{runtime} is not installed")
    (tmp_path / "rootfs").mkdir()
    change = "import fcntl, os\nfor fd in (0, 1): fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)"
    bundle_with_python(tmp_path, [PYTHON3, "-IS", "-c", change])
    argv = ["unshare", "-nm", "--propagation", "private", runtime, "--root", str(tmp_path / "root"), "run", "null-device"]
    with open("/dev/null", "r+b", 0) as ours:
        subprocess.run(argv, cwd=tmp_path, stdin=ours, stdout=ours, timeout=20, check=True)
        assert not fcntl.fcntl(ours, fcntl.F_GETFL) & os.O_NONBLOCK
