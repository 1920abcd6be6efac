"""Pause and unpause: the freezer stops every process of the cgroup where it stands."""

from __future__ import annotations

import asyncio

from firkin.engine import health
from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.errors import Internal, Unsupported, reason


async def pause(engine: Engine, ref: str) -> None:
    """Freeze; raises `Conflict` when it does not run or is frozen."""
    await _freeze(engine, ref, "pause")


async def unpause(engine: Engine, ref: str) -> None:
    """Thaw; raises `Conflict` when it is not frozen."""
    await _freeze(engine, ref, "unpause")


async def _freeze(engine: Engine, ref: str, verb: str) -> None:
    entry = engine.containers.find(ref)
    async with entry.lock:
        require(verb, entry.record, ref)
        live = entry.live
        if live is None:
            raise Internal(f"{verb} container {entry.id}: no process")
        if not engine.cgroups.version("freezer"):
            raise Unsupported(f"{verb} container {entry.id}: there is no freezer (no cgroup that this engine may use)")
        act = engine.cgroups.freeze if verb == "pause" else engine.cgroups.thaw
        try:
            await asyncio.to_thread(act, live.cgroup)  # a version 1 freezer may need several tries
        except OSError as error:
            raise Internal(f"{verb} container {entry.id}: {reason(error)}") from error
        engine.containers.save_state(entry, status="paused" if verb == "pause" else "running")
        if verb == "pause":
            health.give_up(engine, entry)
    engine.events.container(verb, entry.record)
