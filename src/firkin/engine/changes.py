"""Changes: what a container added (1), changed (0) or deleted (2) in its root, as `docker diff` shows."""

from __future__ import annotations

import asyncio

from firkin.engine.engine import Engine


async def changes(engine: Engine, ref: str) -> list[tuple[int, str]]:
    """(kind, absolute path), sorted by path."""
    record = engine.containers.find(ref).record
    return await asyncio.to_thread(engine.snapshots.changes, record.id)
