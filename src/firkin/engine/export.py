"""Export: a container's whole root as one tar stream, its mounts left out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from firkin.engine.engine import Engine


async def export(engine: Engine, ref: str) -> AsyncIterator[bytes]:
    """The tar stream, in chunks."""
    record = engine.containers.find(ref).record
    stream = engine.snapshots.export(record.id)
    engine.events.container("export", record)
    return stream
