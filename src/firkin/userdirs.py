"""Where the engine of an ordinary user keeps what root's keeps in /var/lib, /run and /etc.

Pure functions of an environment and a user id, for the client (which looks for the socket) and the daemon alike.
Source: XDG Base Directory Specification; Docker's rootless mode, which uses the same places.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "FIRKIN_ROOTLESS"
"""In the environment of a daemon inside its user's namespaces: the user's id outside."""


def exec_root(environ: Mapping[str, str], uid: int) -> str:
    """Sockets and running state. Without a session manager's directory it is one in /tmp, which a boot empties, too."""
    given = environ.get("XDG_RUNTIME_DIR", "")
    usual = f"/run/user/{uid}"
    if given or os.path.isdir(usual):
        return os.path.join(given or usual, "firkin")
    return f"/tmp/firkin-{uid}"


def data_root(environ: Mapping[str, str]) -> str:
    return os.path.join(environ.get("XDG_DATA_HOME") or os.path.join(_home(environ), ".local/share"), "firkin")


def config_file(environ: Mapping[str, str]) -> str:
    return os.path.join(environ.get("XDG_CONFIG_HOME") or os.path.join(_home(environ), ".config"), "firkin/daemon.json")


def log_file(environ: Mapping[str, str]) -> str:
    """Of a daemon that a client has started."""
    return os.path.join(environ.get("XDG_STATE_HOME") or os.path.join(_home(environ), ".local/state"), "firkin.log")


def host(environ: Mapping[str, str], uid: int) -> str:
    return f"unix://{exec_root(environ, uid)}/firkin.sock"


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or "/"
