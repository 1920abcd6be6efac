"""Wait: a future that resolves when a container stops running, next exits, or is removed.

Source: Docker Engine API, `POST /containers/{id}/wait`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from firkin.engine.engine import Engine
from firkin.engine.states import is_up
from firkin.engine.table import Entry
from firkin.errors import Invalid
from firkin.model import WaitResult

CONDITIONS = ("not-running", "next-exit", "removed")


async def begin(engine: Engine, ref: str, condition: str = "") -> asyncio.Future[WaitResult]:
    """Register the wait now; await the future for its end. An existing container is required now."""
    condition = condition or "not-running"
    if condition not in CONDITIONS:
        raise Invalid(f"invalid condition: {condition!r}")
    entry = engine.containers.find(ref)
    future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()
    if condition == "not-running" and not is_up(entry.record):
        future.set_result(_result(entry))
    else:
        entry.waiters.append((condition, future))
    return future


def exited(entry: Entry) -> None:
    """Tell everyone who waits for an exit."""
    _resolve(entry, ("not-running", "next-exit"))


def removed(entry: Entry) -> None:
    """Tell everyone still waiting: nothing more can happen to it."""
    _resolve(entry, CONDITIONS)


def _resolve(entry: Entry, conditions: tuple[str, ...]) -> None:
    stay = []
    for condition, future in entry.waiters:
        if condition not in conditions:
            stay.append((condition, future))
        elif not future.done():
            result = _result(entry)
            future.set_result(replace(result, error="") if condition == "removed" else result)  # the removal went well
    entry.waiters = stay


def _result(entry: Entry) -> WaitResult:
    state = entry.record.state
    return WaitResult(state.exit_code, state.error)
