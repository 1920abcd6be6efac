"""Kill: a signal to a container's init. Source: Docker Engine API, `POST /containers/{id}/kill`."""

from __future__ import annotations

import asyncio
import contextlib
import signal as signals

from firkin.engine import wait
from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.engine.table import Entry
from firkin.errors import NotFound
from firkin.runtime.spec import stop_signal

_PATIENCE = 10  # seconds


async def kill(engine: Engine, ref: str, signal: str = "") -> None:
    """Send `signal` ("" for KILL; a name or a number); raises `Conflict` when nothing runs.

    A KILL, or the container's own stop signal, counts as a person's wish that it stay down.
    """
    try:
        entry = engine.containers.find(ref)
    except NotFound as error:
        raise NotFound(f"cannot kill container: {ref}: {error.message}") from None
    number = stop_signal(signal or "KILL")
    require("kill", entry.record, ref)
    if number in (signals.SIGKILL, stop_signal(entry.record.config.stop_signal or "TERM")):
        entry.stop_requested = True
    gone = await wait.begin(engine, entry.id)
    if number == signals.SIGKILL:
        await end(engine, entry)
        await asyncio.wait((gone,), timeout=_PATIENCE)  # as dockerd: whoever looks afterwards finds it down
    else:
        send(engine, entry, number)


def send(engine: Engine, entry: Entry, number: int) -> None:
    """The signal itself, to the one process meant whatever its pid is by now, and its event; a process that is gone is fine."""
    if entry.live:
        with contextlib.suppress(ProcessLookupError):
            signals.pidfd_send_signal(entry.live.pidfd, number)
    engine.events.container("kill", entry.record, signal=str(int(number)))


async def end(engine: Engine, entry: Entry) -> None:
    """SIGKILL, frozen or not: a version 1 freezer does not let go of a process for it."""
    live = entry.live
    if live is None:
        return
    live.killed = True  # first: a freeze that is under way undoes itself when it finds this (pause.py)
    send(engine, entry, signals.SIGKILL)
    if entry.record.state.status == "paused":
        with contextlib.suppress(OSError):  # it died meanwhile, and its group is gone
            await asyncio.to_thread(engine.cgroups.thaw, live.cgroup)
