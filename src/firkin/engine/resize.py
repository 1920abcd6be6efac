"""Resize: the size of a container's, or an exec's, terminal."""

from __future__ import annotations

from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.errors import Conflict, NotFound
from firkin.linux.tty import set_size


async def resize(engine: Engine, ref: str, height: int, width: int) -> None:
    """Characters; the kernel tells the foreground process with SIGWINCH. A container without a terminal: nothing."""
    entry = engine.containers.find(ref)
    require("resize", entry.record, ref)
    if entry.live and entry.live.console is not None:
        set_size(entry.live.console, height, width)
    engine.events.container("resize", entry.record, height=str(height), width=str(width))


async def resize_exec(engine: Engine, exec_id: str, height: int, width: int) -> None:
    session = engine.execs.get(exec_id)
    if session is None:
        raise NotFound(f"No such exec instance: {exec_id}")
    if not session.record.running:
        raise Conflict(f"cannot resize a stopped exec: {exec_id}")
    if session.console is not None:
        set_size(session.console, height, width)
