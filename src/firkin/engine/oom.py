"""Out of memory: told when it happens, whichever of a container's processes was killed, also if the container lives on.

Source: Docker Engine API (event `oom`, `State.OOMKilled`); moby `daemon/monitor.go`.
"""

from __future__ import annotations

import asyncio
import contextlib

from firkin.engine.engine import Engine
from firkin.engine.table import Entry, Live


def attend(engine: Engine) -> None:
    """From now on, listen to what is watched."""
    asyncio.get_running_loop().add_reader(engine.ooms.fileno(), listen, engine)


def watch(engine: Engine, entry: Entry, live: Live) -> None:
    """A container that has come up here, or was up before this daemon; what happened unwatched is told now. One that the
    kernel does not let us watch tells of it at its end."""
    if entry.live is not live:
        return
    with contextlib.suppress(OSError):
        engine.ooms.add(entry.id, live.cgroup)
    live.undo.callback(engine.ooms.drop, entry.id)  # comes before the group is removed, which would ring too
    catch_up(engine, entry, live)


def listen(engine: Engine) -> None:
    """Tell what the kernel has to tell now."""
    for container_id in engine.ooms.news():
        entry = engine.containers.get(container_id)
        if entry:
            _tell(engine, entry)


def catch_up(engine: Engine, entry: Entry, live: Live) -> None:
    """What nobody heard of: it happened before the watch, or the whole machine was out of memory, not the group."""
    if not entry.record.state.oom_killed and engine.cgroups.oom_kills(live.cgroup):
        _tell(engine, entry)


def _tell(engine: Engine, entry: Entry) -> None:
    if not entry.record.state.oom_killed:
        engine.containers.save_state(entry, oom_killed=True)
    engine.events.container("oom", entry.record)
