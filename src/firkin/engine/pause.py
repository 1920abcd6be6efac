"""Pause and unpause: the freezer stops every process of the cgroup where it stands.

A container that ends or is killed meanwhile is a conflict, as if it had ended before; and it is not left frozen, for in a
version 1 freezer it would not even die.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno

from firkin.engine import health
from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.engine.table import Live
from firkin.errors import Conflict, Internal, Unsupported, reason
from firkin.linux import procfs


async def pause(engine: Engine, ref: str) -> None:
    """Freeze; raises `Conflict` when it does not run or is frozen."""
    await _set(engine, ref, "pause")


async def unpause(engine: Engine, ref: str) -> None:
    """Thaw; raises `Conflict` when it is not frozen."""
    await _set(engine, ref, "unpause")


async def _set(engine: Engine, ref: str, verb: str) -> None:
    entry = engine.containers.find(ref)
    async with entry.lock:
        require(verb, entry.record, ref)
        live = entry.live
        if live is None:
            raise Internal(f"{verb} container {entry.id}: no process")
        if not engine.cgroups.version("freezer"):
            raise Unsupported(f"{verb} container {entry.id}: there is no freezer (no cgroup that this engine may use)")
        try:
            await _freeze(engine, live, verb == "pause")
        except OSError as error:
            if live.killed or procfs.has_ended(live.pidfd):
                raise Conflict(f"container {entry.id} is not running") from error
            raise Internal(f"{verb} container {entry.id}: {reason(error)}") from error
        engine.containers.save_state(entry, status="paused" if verb == "pause" else "running")
        if verb == "pause":
            health.give_up(engine, entry)
    engine.events.container(verb, entry.record)


async def _freeze(engine: Engine, live: Live, frozen: bool) -> None:
    """All of it or, in an `OSError`, nothing; that comes too when it is killed before all of it stands still."""
    act = engine.cgroups.freeze if frozen else engine.cgroups.thaw
    try:
        await asyncio.to_thread(act, live.cgroup)  # a version 1 freezer may need several tries
        if frozen and live.killed:
            raise ProcessLookupError(errno.ESRCH, "killed meanwhile")
    except OSError:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(engine.cgroups.thaw, live.cgroup)
        raise
