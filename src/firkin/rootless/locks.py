"""Locks of a user's engine: files in its exec root, held until the process ends. Source: flock(2)."""

from __future__ import annotations

import fcntl
import os

from firkin.errors import Conflict


def hold(exec_root: str, name: str, *, wait: bool = False) -> int:
    """The lock's descriptor. Raises `Conflict` if it is held and not to be waited for."""
    fd = os.open(_path(exec_root, name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(fd)
        raise Conflict(f"lock {_path(exec_root, name)}: another process holds it") from None
    return fd


def is_held(exec_root: str, name: str) -> bool:
    try:
        os.close(hold(exec_root, name))
    except Conflict:
        return True
    return False


def _path(exec_root: str, name: str) -> str:
    return os.path.join(exec_root, name + ".lock")
