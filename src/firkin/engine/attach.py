"""Attach: a client on the standard streams of a container, running or about to be.

A client that attaches before start gets every byte, because its pipes go to the keeper together with the container.
Source: Docker Engine API, `POST /containers/{id}/attach`.
"""

from __future__ import annotations

from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.engine.streams import Streams, pipe_pair
from firkin.engine.table import Entry, Sinks, StdinPipe
from firkin.model import AttachRequest


async def attach(engine: Engine, ref: str, request: AttachRequest) -> Streams:
    """The client's streams; raises `Conflict` for a paused or restarting container.

    An exited container gives streams that end at once, as dockerd's do.
    """
    entry = engine.containers.find(ref)
    require("attach", entry.record, ref)
    tty = entry.record.config.tty
    outputs: dict[int, int] = {}
    sinks = Sinks(None, None)
    status = entry.record.state.status
    if request.stream and status in ("created", "running", "exited"):
        sinks = _make_sinks(request, tty, outputs)
    takes_input = request.stdin and entry.record.config.open_stdin
    if takes_input and not tty and entry.stdin is None:
        entry.stdin = StdinPipe.make()
    streams = Streams(
        outputs,
        (lambda: _stdin(entry)) if takes_input else None,
        tty=tty,
        detach_keys=request.detach_keys,
        on_close_stdin=lambda: _close_stdin(entry) if takes_input and entry.record.config.stdin_once else None,
        on_close=lambda: _withdraw(entry, sinks),
        on_detach=lambda: engine.events.container("detach", entry.record),
    )
    if entry.live:
        await hand_over(engine, entry, sinks)
    else:
        entry.attached_early.append(sinks)
    engine.events.container("attach", entry.record)
    return streams


def _make_sinks(request: AttachRequest, tty: bool, outputs: dict[int, int]) -> Sinks:
    sinks = Sinks(None, None)
    if request.stdout:
        read, sinks.stdout = pipe_pair()
        outputs[read] = 1
    if request.stderr and not tty:
        read, sinks.stderr = pipe_pair()
        outputs[read] = 2
    return sinks


async def hand_over(engine: Engine, entry: Entry, sinks: Sinks) -> None:
    """Give the write ends to the keeper; ours are closed, so that the client sees the end when the keeper closes its."""
    try:
        if sinks.stdout is not None or sinks.stderr is not None:
            await engine.shepherds.attach(entry.id, sinks.stdout, sinks.stderr)
    finally:
        sinks.close()


def _withdraw(entry: Entry, sinks: Sinks) -> None:
    """The client left: if it came before the start, there is nothing to hand over any more."""
    if sinks in entry.attached_early:
        entry.attached_early.remove(sinks)
    sinks.close()


async def _stdin(entry: Entry) -> int | None:
    """Where input goes now; a terminal exists only once the container runs, so early keystrokes wait for it."""
    if not entry.record.config.tty:
        return entry.stdin.write if entry.stdin else None
    if entry.record.state.status == "created":
        await entry.running.wait()
    return entry.live.console if entry.live else None


def _close_stdin(entry: Entry) -> None:
    """End of input for the process; a terminal has no such thing."""
    if entry.stdin:
        entry.stdin.close_write()
