"""How `firkin daemon`, started by an ordinary user, becomes the daemon in which he is root.

It sees to it that there are namespaces (see `outside`), enters them, and executes itself again there: a new program, so
that its memory and its files in /proc belong to the new user namespace, too. The process stays the same one, so whoever
started it can signal it and learn how it ended.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import NoReturn

from firkin import userdirs
from firkin.errors import Forbidden, Unavailable, reason
from firkin.rootless import inside, locks, peers

_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SYSTEM_PATH = "/usr/sbin:/sbin"  # where nft(8) is; not in every user's PATH


def enter(exec_root: str, argv: list[str]) -> NoReturn:
    """Execute `argv` as root of the user's namespaces. Raises FirkinError."""
    _make_private(exec_root)
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SYSTEM_PATH}"
    lock = locks.hold(exec_root, "rootless", wait=True)
    if not locks.is_held(exec_root, "outside"):
        _start_outside(exec_root)
    pid = peers.porter(exec_root)
    os.close(lock)
    if not pid:
        raise Unavailable(f"enter the namespaces: nobody answers in {exec_root}")
    os.environ[userdirs.MARK] = str(os.getuid())
    try:
        inside.enter(inside.open_namespaces(pid))
        os.execv(argv[0], argv)
    except OSError as error:
        raise Unavailable(f"enter the namespaces: {reason(error)}") from None


def _make_private(exec_root: str) -> None:
    """The directory, this user's alone: in /tmp anybody might have made it."""
    try:
        os.makedirs(exec_root, mode=0o700, exist_ok=True)
        info = os.stat(exec_root, follow_symlinks=False)
    except OSError as error:
        raise Unavailable(f"make {exec_root}: {reason(error)}") from None
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o022:
        raise Forbidden(f"use {exec_root}: it is another user's, or another user may write to it")


def _start_outside(exec_root: str) -> None:
    start = f"import sys; sys.path.insert(0, {_SOURCE!r}); from firkin.rootless.outside import main; main()"
    done = subprocess.run(
        [sys.executable, "-ISE", "-c", start, exec_root],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip() or f"see {exec_root}/rootless.log"
        raise Unavailable(f"start without root: {said} (`firkin rootless setup` tells what is missing)")
