"""Namespaces of containers that run, opened for others to enter.

Invariant: what is opened by a process's number is used only if that process is alive afterwards. A number is free, and soon
another's, from the moment at which the launcher has buried the process, which the engine hears of later.
Source: pidfd_open(2), proc_pid_ns(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

from firkin.engine.engine import Engine
from firkin.engine.table import Live
from firkin.errors import Conflict
from firkin.linux.procfs import has_ended
from firkin.model import HostConfig


def open_network(live: Live) -> int:
    """The network namespace of a container, the caller's to close. Raises `Conflict` when it has ended."""
    opened = _open(f"/proc/{live.pid}/ns/net")
    if has_ended(live.pidfd):
        os.close(opened)
        raise Conflict("enter the network of a container: it has ended")
    return opened


def open_joined(engine: Engine, host: HostConfig, paths: Mapping[str, str], closing: ExitStack) -> dict[str, int]:
    """Descriptors of the namespaces at `paths` (by the plan's names for them), all of them of containers that `host` says to
    join. Raises `Conflict` when one has ended."""
    found = {}
    for name, path in paths.items():
        found[name] = _open(path)
        closing.callback(os.close, found[name])
    modes = (host.network_mode, host.ipc_mode, host.pid_mode)
    owners = [engine.containers.find(mode.removeprefix("container:")) for mode in modes if mode.startswith("container:")]
    alive = [owner.live.pid for owner in owners if owner.live and not has_ended(owner.live.pidfd)]
    for path in paths.values():
        if not any(path.startswith(f"/proc/{pid}/") for pid in alive):
            raise Conflict(f"join {path}: the container has ended")
    return found


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # gone, and nobody else has the number yet
        raise Conflict(f"join {path}: the container has ended") from None
