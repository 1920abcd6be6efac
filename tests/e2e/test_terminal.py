"""Interactive terminals through a real pty: size, keys, detaching, hanging up."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from tests.e2e.conftest import IMAGE
from tests.lab import FIRKIN, Engine


class Terminal:
    """A command on a pty, typed at and read from."""

    def __init__(self, engine: Engine, argv: list[str], rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.size(rows, columns)
        self.process = subprocess.Popen(
            engine.lab.argv(argv), env=engine.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, pattern: str, seconds: float = 10) -> str:
        """Read on until the pattern is seen; forget all up to its end."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen)):
            ready = select.select([self.master], [], [], max(0, end - time.monotonic()))[0]
            assert ready, f"no {pattern!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                assert re.search(pattern, self.seen), f"ended without {pattern!r}: {self.seen!r}"
        self.seen = self.seen[match.end() :]
        return match.group()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture(params=["docker", FIRKIN], ids=["docker", "firkin"])
def terminal(request: pytest.FixtureRequest, engine: Engine):
    opened: list[Terminal] = []

    def start(*argv: str, **options: int) -> Terminal:
        opened.append(Terminal(engine, [request.param, *argv], **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_shell_that_resizes(terminal) -> None:
    shell = terminal("run", "-it", "--rm", IMAGE, "sh", rows=33, columns=101)
    shell.expect(r"# ")
    shell.type("stty size\n")
    shell.expect(r"33 101\r\n")
    shell.size(44, 55)
    os.kill(shell.process.pid, signal.SIGWINCH)
    deadline = time.monotonic() + 10
    while True:  # the new size travels by a request of its own
        shell.type("stty size\n")
        if shell.expect(r"\d+ \d+\r\n") == "44 55\r\n":
            break
        assert time.monotonic() < deadline
    shell.type("tty; exit 6\n")
    shell.expect(r"/dev/(pts/0|console)")
    assert shell.process.wait(10) == 6


def test_control_c_reaches_the_program(terminal) -> None:
    shell = terminal("run", "-it", "--rm", IMAGE, "sh")
    shell.expect(r"# ")
    shell.type("sleep 1000\n")
    time.sleep(0.3)
    shell.type("\x03")
    shell.expect(r"# ")
    shell.type("exit\n")
    assert shell.process.wait(10) in (0, 130)


def test_detach_keys_leave_it_running(terminal, engine: Engine) -> None:
    shell = terminal("run", "-it", "--name", "left", IMAGE, "sh")
    shell.expect(r"# ")
    shell.type("echo mark-$((40+2))\n")
    shell.expect("mark-42")
    shell.type("\x10\x11")
    assert shell.process.wait(10) == 0
    assert engine.docker("ps", "-q", "--filter", "name=left").stdout
    again = terminal("attach", "--detach-keys", "ctrl-x,x", "left")
    again.type("echo again-$((1+1))\n")
    again.expect("again-2")
    again.type("\x18x")
    assert again.process.wait(10) in (0, 1)  # docker: 1, "read escape sequence"
    engine.docker("rm", "-f", "left")


def test_exec_with_a_terminal(terminal, engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "host", IMAGE, "sleep", "1000")
    shell = terminal("exec", "-it", "host", "sh", rows=12, columns=34)
    shell.expect(r"# ")
    shell.type("stty size\n")
    shell.expect(r"12 34\r\n")
    shell.type("exit 3\n")
    assert shell.process.wait(10) == 3
    engine.docker("rm", "-f", "host")


def test_the_log_of_a_terminal(terminal, engine: Engine) -> None:
    shell = terminal("run", "-it", "--name", "tl", IMAGE, "sh", "-c", "echo one; echo two >&2")
    assert shell.process.wait(10) == 0
    assert engine.docker("logs", "tl").stdout.replace("\r", "") == "one\ntwo\n"
    engine.docker("rm", "tl")
