"""Who is at the other end of a socket."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from firkin.rootless import peers
from firkin.rootless.porter import socket_path


def test_one_that_is_ending_is_nobody(tmp_path: Path) -> None:
    """Killed, a process closes its descriptors one after the other: who notices by one of them could still connect to another."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as held_open:
        held_open.bind(socket_path(str(tmp_path)))
        pid = os.fork()
        if not pid:
            held_open.listen()
            os.kill(os.getpid(), signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        assert peers.porter(str(tmp_path)) == pid
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert peers.porter(str(tmp_path)) == 0
        os.waitpid(pid, 0)
    assert peers.porter(str(tmp_path)) == 0
