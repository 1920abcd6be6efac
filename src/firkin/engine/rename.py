"""Rename: another name for a container, running or not."""

from __future__ import annotations

from dataclasses import replace

from firkin.engine.engine import Engine
from firkin.errors import Invalid
from firkin.ids import NAME, is_name


async def rename(engine: Engine, ref: str, name: str) -> None:
    """Raises `Invalid` for a name that is none or its own, `Conflict` for one that is taken."""
    entry = engine.containers.find(ref)
    name = name.removeprefix("/")
    if not name:
        raise Invalid("Neither old nor new names may be empty")
    if not is_name(name):
        raise Invalid(f"Invalid container name ({name}), only {NAME.pattern.removesuffix('+')} are allowed")
    async with entry.lock:
        old = entry.record.name
        if name == old:
            raise Invalid("Renaming a container with the same name as its current name")
        engine.containers.reserve_name(name, entry.id)
        engine.containers.save(entry, replace(entry.record, name=name))
        engine.containers.release_name(old)
        engine.networks.renamed(entry.record)
    engine.events.container("rename", entry.record, oldName="/" + old)
