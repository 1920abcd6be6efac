"""Writing the id maps of a new user namespace, by the set-user-id programs that check them. Source: newuidmap(1)."""

from __future__ import annotations

import os
import pwd
import subprocess

from firkin.errors import Unavailable
from firkin.rootless import subids

_PATIENCE = 20  # seconds
_GRANTS = (("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid"))
_HINT = "`firkin rootless setup` says what is missing"


def write(pid: int) -> None:
    """All that this user may map, into the namespace of the process `pid`. Raises `Unavailable`."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    for program, path in _GRANTS:
        with open(path, encoding="utf-8", errors="replace") as file:
            granted = subids.ranges(file.read(), user, uid)
        if not granted:
            raise Unavailable(f"map ids: {path} grants {user} none; {_HINT}")
        own = uid if program == "newuidmap" else os.getgid()
        _run([program, *subids.arguments(pid, subids.mapping(own, granted))])


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except FileNotFoundError:
        raise Unavailable(f"run {argv[0]}: not installed; {_HINT}") from None
    if done.returncode:
        raise Unavailable(f"map ids with {argv[0]}: {done.stderr.strip()}; {_HINT}")
