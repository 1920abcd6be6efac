"""Who in a user's namespaces is at the other end of a socket in the exec root. Source: SO_PEERCRED in unix(7)."""

from __future__ import annotations

import os
import socket
import struct

from firkin.linux.process import is_ending
from firkin.rootless.porter import socket_path

_CREDENTIALS = struct.Struct("3i")


def porter(exec_root: str) -> int:
    """The porter's pid; 0 if there is none."""
    return _listener(socket_path(exec_root))


def shepherd(exec_root: str) -> int:
    """Keeper's or launcher's pid, either of which is there as long as there are containers; 0 if there is none."""
    return _listener(os.path.join(exec_root, "keeper.sock")) or _listener(os.path.join(exec_root, "launcher.sock"))


def _listener(path: str) -> int:
    """The process that listens there; one that is just ending may still be connected to, but does not count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        try:
            sock.connect(path)
        except OSError:
            return 0
        pid: int = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
    return 0 if is_ending(pid) else pid
