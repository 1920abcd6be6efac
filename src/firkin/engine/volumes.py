"""Volumes as verbs: the store's operations, with their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firkin.engine.engine import Engine
from firkin.errors import NotFound
from firkin.storage.volumes import Volume, VolumeRequest


async def create(engine: Engine, request: VolumeRequest) -> Volume:
    """The volume of that name, made if there is none."""
    return ensure(engine, request.name, request.driver, request.driver_opts, request.labels)


def ensure(engine: Engine, name: str, driver: str, options: Mapping[str, str], labels: Mapping[str, str]) -> Volume:
    """The same, for a mount of a container too; announced only when it is new."""
    known = _is_known(engine, name)
    volume = engine.volumes.create(name, driver, options, labels)
    if not known:
        engine.events.publish("volume", "create", volume.name, {"driver": volume.driver})
    return volume


def _is_known(engine: Engine, name: str) -> bool:
    try:
        engine.volumes.inspect(name)
    except NotFound:
        return False
    return True


async def remove(engine: Engine, name: str, force: bool = False) -> None:
    """Raises `NotFound`, or `Conflict` while a container refers to it."""
    await engine.volumes.remove(name, force)
    engine.events.publish("volume", "destroy", name, {"driver": "local"})


async def prune(engine: Engine, filters: Mapping[str, Sequence[str]], named_too: bool) -> tuple[list[str], int]:
    """Remove volumes no container refers to, anonymous ones only unless `named_too`; (names, bytes freed)."""
    names, freed = await engine.volumes.prune(filters, named_too)
    for name in names:
        engine.events.publish("volume", "destroy", name, {"driver": "local"})
    engine.events.pruned("volume", freed)
    return names, freed
