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
    send(engine, entry, number)
    if number == signals.SIGKILL:  # as dockerd: whoever looks afterwards finds it down
        await asyncio.wait((gone,), timeout=_PATIENCE)


def send(engine: Engine, entry: Entry, number: int) -> None:
    """The signal itself, to the one process meant whatever its pid is by now, and its event; a process that is gone is fine."""
    if entry.live:
        with contextlib.suppress(ProcessLookupError):
            signals.pidfd_send_signal(entry.live.pidfd, number)
    engine.events.container("kill", entry.record, signal=str(int(number)))
