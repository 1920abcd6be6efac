"""Remove: a container, its writable layer, its log and (if asked) its anonymous volumes leave no trace."""

from __future__ import annotations

import asyncio

from firkin.engine import wait
from firkin.engine.engine import Engine
from firkin.engine.kill import end
from firkin.engine.states import is_up, require
from firkin.engine.table import Entry
from firkin.errors import Conflict, FirkinError
from firkin.model import Container

_KILL_PATIENCE = 10.0


async def remove(engine: Engine, ref: str, force: bool = False, volumes: bool = False) -> None:
    """Raises `Conflict` when it runs and `force` is not set, or when another removal is under way."""
    entry = engine.containers.find(ref)
    if entry.removing:
        raise Conflict(f"removal of container {ref} is already in progress")
    if not force:
        require("remove", entry.record, ref)
    entry.removing = True  # from here on: the exit that a kill brings about must not remove it first, be it a `--rm` one
    try:
        if is_up(entry.record):
            await _kill(engine, entry)
        async with entry.lock:
            require("remove", entry.record, ref)  # it may have been started again meanwhile
            engine.containers.forget(entry)
    finally:
        entry.removing = False
    wait.removed(entry)
    engine.events.container("destroy", entry.record)
    await asyncio.sleep(0)  # who waited for the removal need not wait for the housekeeping
    await _clean_up(engine, entry, volumes)


async def _clean_up(engine: Engine, entry: Entry, volumes: bool) -> None:
    _withdraw_attached(entry)
    engine.snapshots.remove(entry.id)
    engine.containers.delete_files(entry)
    for exec_id in [e for e, session in engine.execs.items() if session.record.container_id == entry.id]:
        del engine.execs[exec_id]
    if volumes:
        await delete_volumes(engine, entry.record)


async def _kill(engine: Engine, entry: Entry) -> None:
    """SIGKILL and wait until the exit has been settled."""
    entry.stop_requested = True
    if entry.restarting:
        entry.restarting.cancel()
    gone = await wait.begin(engine, entry.id)
    await end(engine, entry)
    await asyncio.wait_for(gone, _KILL_PATIENCE)


def _withdraw_attached(entry: Entry) -> None:
    for sinks in entry.attached_early:
        sinks.close()
    entry.attached_early.clear()
    if entry.stdin:
        entry.stdin.close()


async def delete_volumes(engine: Engine, record: Container) -> None:
    """The anonymous ones; the container no longer counts as a user of them."""
    for mount in record.mounts:
        if mount.type == "volume" and engine.volumes.is_anonymous(mount.name):
            try:
                await engine.volumes.remove(mount.name)
            except FirkinError:
                pass  # another container uses it


async def prune(engine: Engine, wanted: list[Entry]) -> tuple[list[str], int]:
    """Remove those of `wanted` that are down; (ids removed, bytes of their writable layers)."""
    removed, freed = [], 0
    for entry in wanted:
        if is_up(entry.record):
            continue
        size = await asyncio.to_thread(engine.snapshots.size, entry.id)
        try:
            await remove(engine, entry.id)
        except FirkinError:
            continue  # someone else was quicker
        removed.append(entry.id)
        freed += size
    engine.events.pruned("container", freed)
    return removed, freed
