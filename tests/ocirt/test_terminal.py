"""Terminals: handed to a console socket, or in the foreground. On runc too."""

from __future__ import annotations

import array
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ocirt.conftest import Bundle, Runtime


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A console socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener


def receive_console(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        fds = array.array("i")
        _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        fds.frombytes(control[0][2][:4])
    return int(fds[0])


def read_until(fd: int, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        found += os.read(fd, 4096)
    return found


def test_the_terminal_goes_to_the_console_socket(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["consoleSize"] = {"height": 33, "width": 99}
    with listening(tmp_path / "console") as listener:
        runtime.create(
            bundle.sh("stty size; tty; ls -l /dev/console | cut -c1; read x; echo got $x"),
            "--console-socket",
            str(tmp_path / "console"),
        )
        master = receive_console(listener)
        runtime.call("start", "box")
        text = read_until(master, b"c\r\n")
        assert (b"33 99" in text or runtime.name == "runc") and b"/dev/pts/0" in text
        os.write(master, b"word\n")
        assert b"got word" in read_until(master, b"got word")
        os.close(master)
        runtime.call("exec", "--tty", "--detach", "--console-socket", str(tmp_path / "console"), "box", "tty", check=None)


def test_a_terminal_in_the_foreground(runtime: Runtime, bundle: Bundle) -> None:
    """The command's own terminal is made raw, has its size passed on, and gets its settings back."""
    bundle.config["process"]["terminal"] = True
    bundle.sh("stty size; tty; read x; echo got $x; exit 4").write()
    # script(1) gives the command a terminal; stty shows its settings before and after
    command = (
        f"stty rows 21 cols 77; stty -g; {' '.join(runtime.argv('run', '-b', str(bundle.path), 'box'))}; echo code $?; stty -g"
    )
    process = subprocess.Popen(
        ["script", "-qec", command, "/dev/null"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin and process.stdout
    found = b""
    while b"/dev/pts/0" not in found:
        found += process.stdout.read(4096)
    process.stdin.write(b"word\n")
    found += process.stdout.read()
    process.stdin.close()
    process.wait()
    lines = found.decode().replace("\r", "").splitlines()
    assert "got word" in lines and "code 4" in lines
    assert "21 77" in lines or runtime.name == "runc"  # which may set the size too late
    assert lines[0] == lines[-1]


def test_newlines_are_left_to_the_callers_terminal(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """Output that goes to a file has none added; a terminal has its own carriage returns, once."""
    bundle.config["process"]["terminal"] = True
    bundle.sh("echo one; echo two").write()
    words = " ".join(runtime.argv("run", "-b", str(bundle.path), "box"))
    typescript = tmp_path / "typescript"
    for command, wanted in ((f"{words} > {tmp_path}/out", b""), (words, b"one\r\ntwo\r\n")):
        silent, _ = pipe = os.pipe()
        subprocess.run(["script", "-qec", command, typescript], stdin=silent, stdout=subprocess.DEVNULL, timeout=60)
        for fd in pipe:
            os.close(fd)
        assert wanted in typescript.read_bytes()
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"


def test_the_hosts_terminal_is_not_handed_in(runtime: Runtime, bundle: Bundle) -> None:
    """Without a terminal of its own a container in the foreground has pipes, not the terminal it was started from."""
    bundle.sh("for n in 0 1 2; do readlink /proc/self/fd/$n | cut -d: -f1; done; [ -t 0 ] || echo none").write()
    command = " ".join(runtime.argv("run", "-b", str(bundle.path), "box"))
    done = subprocess.run(["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.stdout.split() == ["pipe", "pipe", "pipe", "none"]
