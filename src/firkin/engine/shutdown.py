"""Shutdown: a clean stop of the engine stops its containers first, as dockerd's does without live-restore."""

from __future__ import annotations

import asyncio
import os

from firkin.engine.engine import Engine
from firkin.engine.states import is_up
from firkin.engine.stop import bring_down
from firkin.engine.table import Entry
from firkin.errors import FirkinError


async def stop_all(engine: Engine) -> None:
    """Every container gets its stop signal at once, and the configured patience; policies are kept for the next start. The
    group that containers' groups were in goes last."""
    engine.stopping = True
    up = [entry for entry in engine.containers if is_up(entry.record)]
    await asyncio.gather(*(_stop(engine, entry) for entry in up))
    parent = os.path.normpath("/" + engine.config.cgroup_parent.lstrip("/"))
    if parent != "/":
        engine.cgroups.remove_empty(parent)  # there may be another engine's containers in it


async def _stop(engine: Engine, entry: Entry) -> None:
    try:
        await bring_down(engine, entry, timeout=_patience(engine, entry), for_good=False)
    except (FirkinError, TimeoutError):
        pass  # the others still want stopping


def _patience(engine: Engine, entry: Entry) -> int:
    own = entry.record.config.stop_timeout
    return own if own is not None else min(10, engine.config.shutdown_timeout)
