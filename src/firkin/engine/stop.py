"""Stop and restart: the stop signal, patience, then SIGKILL.

Source: Docker Engine API, `POST /containers/{id}/stop`: `t` seconds of patience, -1 for ever, ten by default.
"""

from __future__ import annotations

import asyncio

from firkin.engine import pause, wait
from firkin.engine.engine import Engine
from firkin.engine.kill import end, send
from firkin.engine.start import start
from firkin.engine.states import is_up, require
from firkin.engine.table import Entry
from firkin.runtime.spec import stop_signal

_PATIENCE = 10  # seconds
_KILL_PATIENCE = 10


async def stop(engine: Engine, ref: str, signal: str = "", timeout: int | None = None) -> None:
    """Return once the container is down; raises `NotModified` when it was."""
    entry = engine.containers.find(ref)
    require("stop", entry.record, ref)
    await bring_down(engine, entry, signal, timeout)
    engine.events.container("stop", entry.record)


async def restart(engine: Engine, ref: str, signal: str = "", timeout: int | None = None) -> None:
    """Stop if need be, then start; a container that removes itself when it ends stays for this."""
    entry = engine.containers.find(ref)
    entry.restart_requested = True
    try:
        if is_up(entry.record):
            await bring_down(engine, entry, signal, timeout, for_good=False)
            engine.events.container("stop", entry.record)
        await start(engine, ref)
    finally:
        entry.restart_requested = False
    engine.events.container("restart", entry.record)


async def bring_down(
    engine: Engine, entry: Entry, signal: str = "", timeout: int | None = None, *, for_good: bool = True
) -> None:
    """Signal, wait, kill. `for_good`: no restart policy brings it back, not even when the daemon starts anew."""
    entry.stop_requested = True
    if entry.restarting:
        entry.restarting.cancel()
    if entry.record.state.status == "paused":
        await pause.unpause(engine, entry.id)
    config = entry.record.config
    patience = timeout if timeout is not None else config.stop_timeout if config.stop_timeout is not None else _PATIENCE
    gone = await wait.begin(engine, entry.id)
    send(engine, entry, stop_signal(signal or config.stop_signal or "TERM"))
    done, _ = await asyncio.wait((gone,), timeout=None if patience < 0 else patience)
    if not done:
        await end(engine, entry)
        await asyncio.wait_for(asyncio.shield(gone), _KILL_PATIENCE)
    if for_good:
        engine.containers.mark_stopped(entry)
