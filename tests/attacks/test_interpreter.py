"""Out of the container by way of the process that becomes its program: that is Python, with the host's files open, until it
executes. CVE-2019-5736 (/proc/self/exe rewritten), CVE-2016-9962 (a joining process looked into from inside)."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firkin.linux import process
from firkin.runtime import sealed
from tests.attacks.rig import IMAGE, PYTHON, PYTHON3, SECRET, Rig, with_python
from tests.lab import wait_until
from tests.runtime.box import NAMESPACES, Box, reap

# Looks at every other process as fast as it can, for a while, and says once of each kind what it found.
SPY = """
import os, sys, time
host, secret, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
def look(pid):
    at = '/proc/' + pid + '/'
    if os.path.exists(at + 'root' + host): yield 'host root'
    if os.path.exists(at + 'cwd' + host): yield 'host directory'
    for fd in os.listdir(at + 'fd'):
        if os.path.exists(at + 'fd/' + fd + host): yield 'host directory open'
        opened = os.readlink(at + 'fd/' + fd)
        if opened.startswith('/') and not opened.startswith(('/dev/', '/usr/', '/lib', '/etc/')) and opened != '/':
            yield 'open: ' + opened
    if secret.encode() in open(at + 'environ', 'rb').read(): yield 'environment'
    held = os.open(at + 'exe', os.O_PATH)
    try:
        exe = os.readlink('/proc/self/fd/%d' % held)
        if not exe.startswith('/bin/') and not os.fstatvfs(held).f_flag & os.ST_RDONLY: yield 'writable: ' + exe
    finally:
        os.close(held)
    if 'python' in open(at + 'cmdline').read(): yield 'looked inside'
found = set()
def told(what):
    if what not in found:
        found.add(what)
        print(what, flush=True)
end = time.monotonic() + seconds
print('ready', flush=True)
while time.monotonic() < end:
    for pid in os.listdir('/proc'):
        if pid.isdigit() and pid != '1':
            try:
                for what in look(pid): told(what)
            except PermissionError: told('refused')
            except OSError: pass
"""


def spied(rig: Rig, *flags: str, by: Callable[[Rig, str, int], None]) -> set[str]:
    """What a container with these flags sees while processes are added to it."""
    words = [IMAGE, PYTHON3, "-IS", "-c", SPY, str(rig.secret), SECRET, "60"]
    with rig.held(*flags, *PYTHON, *words) as spy:
        wait_until(lambda: "ready" in rig.logs(spy))
        end, turn = time.monotonic() + 2, 0
        while time.monotonic() < end or turn < 4:
            by(rig, spy, turn)
            turn += 1
        return set(rig.logs(spy).split("\n")) - {"", "ready"}


def execs(rig: Rig, spy: str, turn: int) -> None:
    """With a terminal and without."""
    body = {"Cmd": ["/bin/true"], "Tty": bool(turn % 2), "AttachStdout": True}
    _, made = rig.engine.api().call("POST", f"/containers/{spy}/exec", body)
    rig.engine.api().call("POST", f"/exec/{made['Id']}/start", {"Detach": True, "Tty": bool(turn % 2)})


def containers(rig: Rig, spy: str, turn: int) -> None:
    """Whole ones that share its processes."""
    rig.run("--pid", f"container:{spy}", "--network", "none", IMAGE, "true")


@pytest.mark.parametrize("by", [execs, containers])
def test_a_joining_process_cannot_be_looked_into(rig: Rig, by: Callable[[Rig, str, int], None]) -> None:
    """It is the container's to see only when it is its own program."""
    assert spied(rig, by=by) == {"refused"}


def test_a_joining_process_has_nothing_of_the_hosts_even_for_those_who_may_trace(rig: Rig) -> None:
    """CAP_SYS_PTRACE opens every process of one's pid namespace: no host's root, descriptor or variable may be in there,
    and its program not be writable."""
    assert spied(rig, "--cap-add", "SYS_PTRACE", by=execs) - {"refused"} == {"looked inside"}


def test_a_naive_exec_shows_the_host(box: Box, tmp_path: Path) -> None:
    """Born in the container's pid namespace, with the host's root until it has joined the rest."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    reading, writing = os.pipe()
    caps = 0xA80425FB | 1 << 19  # and CAP_SYS_PTRACE
    before = [*box.root(), *box.mounts(), *with_python(box), ("pivot", 0), ("stdio", "null", "out", "out")]
    argv = [PYTHON3, "-IS", "-c", SPY, str(secret), SECRET, "60"]
    become = [("cwd", "/", False), ("close-fds", 3), ("identity", caps, caps, caps, 0, 0), ("exec", argv, [])]
    spy, outcome = box.start([*before, *become], out=writing)
    os.close(writing)
    try:
        assert outcome.failure is None
        box.clone, box.pidns = 0, "target"
        joins: list[tuple[Any, ...]] = [("setns-pidfd", "target", NAMESPACES & ~process.CLONE_NEWPID)]
        found, end = b"", time.monotonic() + 20
        os.set_blocking(reading, False)
        while b"host root" not in found and time.monotonic() < end:
            box.run([*joins, ("exit", 0)], target=spy.pidfd)
            try:
                found += os.read(reading, 4096)
            except BlockingIOError:
                pass
        assert b"host root" in found
    finally:
        os.close(reading)
        process.pidfd_send_signal(spy.pidfd, 9)
        reap(spy)


# Opens its own program for writing as CVE-2019-5736 does, to the length of doing harm if it could.
REWRITE = """
import json, os
def attempt(flags):
    try: os.close(os.open('/proc/self/exe', flags)); return 'open'
    except OSError as error: return error.strerror
readonly = bool(os.statvfs('/proc/self/exe').f_flag & os.ST_RDONLY)
print(json.dumps([readonly, attempt(os.O_WRONLY | os.O_TRUNC) if readonly else 'not tried']))
"""


@pytest.mark.parametrize("privileged", [False, True], ids=["default", "privileged"])
@pytest.mark.parametrize("how", ["command", "script"])
def test_a_program_that_is_the_engines_own(rig: Rig, tmp_path: Path, how: str, privileged: bool) -> None:
    flags = ["--privileged"] if privileged else []
    if how == "command":
        command = ["/proc/self/exe", "-IS", "-c", REWRITE]
    else:
        script = tmp_path / "script"
        script.write_text("#!/proc/self/exe -IS\n" + REWRITE)
        script.chmod(0o755)
        flags, command = [*flags, f"-v{script}:/script"], ["/script"]
    done = rig.run(*flags, *PYTHON, IMAGE, *command)
    assert json.loads(done.stdout) == [True, "Read-only file system"], done.stderr


def test_a_naive_launcher_would_lend_its_program_for_writing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child of this process, which was executed the ordinary way. (The write itself is not tried.)"""
    monkeypatch.setattr(sealed, "lends_own_program", lambda path: False)
    code = ["/proc/self/exe", "-IS", "-c", REWRITE]
    result = box.run([*box.root(), *box.mounts(), *with_python(box), *box.into(), *box.become(*code)])
    assert json.loads(result.output) == [False, "not tried"], result.output


def test_the_engine_goes_on_while_containers_try(rig: Rig) -> None:
    """Many at once, as a race would want it."""
    results: list[str] = []

    def attack() -> None:
        results.append(rig.run(*PYTHON, IMAGE, "/proc/self/exe", "-IS", "-c", REWRITE).stdout)

    threads = [threading.Thread(target=attack) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [json.loads(result)[0] for result in results] == [True] * 6
    assert rig.alive()
