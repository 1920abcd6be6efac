"""Standard streams as ways out: a container's ends of its pipes, and the null device, are open files that others have too."""

from __future__ import annotations

import contextlib
import json
import os
import socket
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


# When told to, lets go of its terminal; and stays, though hung up on.
STAY = ["sh", "-c", "trap '' HUP; read _; exec < /dev/null > /dev/null 2>&1; sleep 1000"]


def test_input_of_an_exec_whose_terminal_is_closed_goes_to_nobody_else(rig: Rig) -> None:
    """The engine sees the end of its output, and the number of what it had open may be that of another container's input by the
    next moment; what the client goes on typing must not go there."""
    before = terminals(rig)
    with rig.held(IMAGE, "sleep", "1000") as hostile, contextlib.ExitStack() as closing:
        started = [terminal_exec(rig, hostile, closing) for _ in range(8)]
        for _, typing in started:
            typing.sendall(b"\n")
        wait_until(lambda: all(has_let_go(rig, name) for name, _ in started), 30)
        victims = [closing.enter_context(rig.held("-i", IMAGE, "cat")) for _ in range(6)]
        for _ in range(5):
            for _, typing in started:
                typing.sendall(b"injected\n")
            assert rig.alive()
        for victim in victims:
            closing.enter_context(hijacked(rig, f"/containers/{victim}/attach?stream=1&stdin=1")).sendall(b"own\n")
            wait_until(lambda victim=victim: "own\n" in rig.logs(victim))
            assert rig.logs(victim) == "own\n"
    wait_until(lambda: terminals(rig) == before)


def terminal_exec(rig: Rig, container: str, closing: contextlib.ExitStack) -> tuple[str, socket.socket]:
    body = {"Cmd": STAY, "Tty": True, "AttachStdin": True, "AttachStdout": True}
    _, made = rig.engine.api().call("POST", f"/containers/{container}/exec", body)
    return made["Id"], closing.enter_context(hijacked(rig, f"/exec/{made['Id']}/start", {"Tty": True}))


def hijacked(rig: Rig, path: str, body: object = None) -> socket.socket:
    """The connection of a request, once it is the client's and the process's."""
    content = json.dumps(body).encode() if body else b""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(rig.engine.sock)
    connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content)
    assert b"101 UPGRADED" in connection.recv(4096)
    return connection


def terminals(rig: Rig) -> int:
    """How many masters of terminals the daemon has open."""
    assert rig.engine.process
    opened = Path(f"/proc/{rig.engine.process.pid}/fd")
    return sum("ptmx" in os.readlink(fd) for fd in opened.iterdir() if os.path.lexists(fd))


def has_let_go(rig: Rig, exec_id: str) -> bool:
    """Whether it runs, and its terminal is nobody's any more."""
    pid = rig.engine.api().call("GET", f"/exec/{exec_id}/json")[1]["Pid"]
    return bool(pid) and b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes() and "null" in os.readlink(f"/proc/{pid}/fd/0")
