"""Terminals, signals and standard input, against a real dockerd."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from tests.cli.conftest import IMAGE, Reference
from tests.lab import FIRKIN

pytestmark = pytest.mark.reference


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, argv: list[str], env: dict[str, str], rows: int = 33, columns: int = 111) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, preexec_fn=self._control
        )
        self.slave = slave
        self.seen = ""

    @staticmethod
    def _control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]


def test_an_interactive_shell_resizes_detaches_and_ends(reference: Reference) -> None:
    terminal = Terminal([FIRKIN, "run", "-it", "--rm", "--name", "shell", IMAGE, "sh"], reference.env)
    try:
        terminal.expect("# ")
        terminal.type("stty size\n")
        terminal.expect("33 111")
        terminal.resize(44, 122)
        terminal.process.send_signal(signal.SIGWINCH)
        time.sleep(0.3)
        terminal.type("stty size\n")
        terminal.expect("44 122")
        terminal.type("sleep 100\n")
        time.sleep(0.2)
        terminal.type("\x03echo back$((1+1))\n")  # ctrl-c is a key like any other: it ends sleep, not the client
        terminal.expect("back2")
        terminal.type("\x10\x11")
        assert terminal.process.wait(10) == 0
        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.process.kill()
    again = Terminal([FIRKIN, "attach", "shell"], reference.env)
    again.type("\nexit 5\n")
    assert again.process.wait(10) == 5


def test_detach_keys_of_ones_own(reference: Reference) -> None:
    terminal = Terminal(
        [FIRKIN, "run", "-it", "--rm", "--name", "keys", "--detach-keys", "ctrl-x,y", IMAGE, "cat"], reference.env
    )
    terminal.type("\x10\x11 \x18z\n")
    terminal.expect("z")
    terminal.type("\x18y")
    assert terminal.process.wait(10) == 0
    assert reference.docker("rm", "-f", "keys").returncode == 0


def test_exec_with_a_terminal(reference: Reference) -> None:
    reference.docker("run", "-d", "--name", "host", IMAGE, "sleep", "1000", check=True)
    terminal = Terminal([FIRKIN, "exec", "-it", "host", "sh"], reference.env)
    terminal.expect("# ")
    terminal.type("tty; stty size; exit 6\n")
    terminal.expect("/dev/pts/")
    terminal.expect("33 111")
    assert terminal.process.wait(10) == 6
    reference.docker("rm", "-f", "host")


def test_a_signal_is_passed_on(reference: Reference) -> None:
    script = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        [FIRKIN, "run", "--rm", IMAGE, "sh", "-c", script], env=reference.env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.read() == "caught\n"
    assert process.wait(10) == 9


def test_without_proxying_a_signal_ends_the_client_alone(reference: Reference) -> None:
    argv = [FIRKIN, "run", "--rm", "--name", "alone", "--sig-proxy=false", IMAGE, "sh", "-c", "echo ready; sleep 100"]
    process = subprocess.Popen(argv, env=reference.env, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert reference.docker("ps", "-q", "-f", "name=alone").stdout
    reference.docker("rm", "-f", "alone")


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_standard_input_ends_and_the_answer_still_comes(size: int, reference: Reference) -> None:
    """Half-closing: `cat` sees the end of its input while its output still flows."""
    data = "x" * size
    done = subprocess.run([FIRKIN, "run", "-i", "--rm", IMAGE, "sh", "-c", "cat; echo end"], input=data, env=reference.env,
                          capture_output=True, text=True, timeout=30)  # fmt: skip
    assert (done.returncode, done.stdout == data + "end\n") == (0, True)


def test_both_streams_of_much_output_arrive_whole(reference: Reference) -> None:
    script = "seq 1 60000; seq 1 60000 >&2"
    done = reference.firkin("run", "--rm", IMAGE, "sh", "-c", script)
    numbers = "".join(f"{n}\n" for n in range(1, 60001))
    assert done.stdout == numbers and done.stderr == numbers


def test_background_start_attach_and_logs_that_follow(reference: Reference) -> None:
    made = reference.firkin("run", "-d", "--name", "back", IMAGE, "sh", "-c", "sleep 0.5; echo late; exit 3")
    assert len(made.stdout.strip()) == 64
    assert reference.firkin("logs", "-f", "back").stdout == "late\n"
    assert reference.firkin("wait", "back").stdout == "3\n"
    again = reference.firkin("start", "-a", "back")
    assert (again.returncode, again.stdout) == (3, "late\n")
    reference.docker("rm", "-f", "back")


def test_removal_is_over_when_run_returns(reference: Reference) -> None:
    for _ in range(3):
        assert reference.firkin("run", "--rm", "--name", "again", IMAGE, "true").returncode == 0


def test_the_id_file(reference: Reference, tmp_path: object) -> None:
    path = f"{tmp_path}/id"
    assert reference.firkin("run", "-d", "--rm", "--cidfile", path, IMAGE, "sleep", "100").returncode == 0
    with open(path) as file:
        container = file.read()
    assert reference.docker("rm", "-f", container).returncode == 0
    refused = reference.firkin("run", "--cidfile", path, IMAGE, "true")
    assert refused.returncode == 125 and "container ID file found" in refused.stderr


def test_a_daemon_that_is_not_there_is_named() -> None:
    done = subprocess.run([FIRKIN, "-H", "unix:///nonexistent.sock", "ps"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Cannot connect to the Firkin daemon at unix:///nonexistent.sock: No such file or directory." in done.stderr
