"""Exits: what happens, in which order, when a container's init has been reaped.

Output first (nothing of it may be lost), then what was acquired is given back, the record is written, waiters are
told, and last comes the policy: start again, remove, or leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import replace

from firkin.engine import health, oom, remove, restart, start, usage_events, wait
from firkin.engine.engine import Engine, ExecSession
from firkin.engine.table import Entry, Live
from firkin.errors import FirkinError
from firkin.model import Container

_OUTPUT_PATIENCE = 3.0  # seconds; a process outside the container's pid namespace may hold its pipes open


def exit_code(wait_status: int) -> int:
    """The code a shell would show: 128 + N for death by signal N (waitpid(2) status)."""
    return 128 + os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status) else os.WEXITSTATUS(wait_status)


async def on_exit(engine: Engine, process_id: str, pid: int, wait_status: int, time_ns: int) -> None:
    """The process of a container or of an exec session has been reaped; may be told more than once."""
    session = engine.execs.get(process_id)
    if session:
        _exec_ended(engine, session, exit_code(wait_status))
        return
    entry = engine.containers.get(process_id)
    if entry is None:
        return
    async with entry.lock:  # a start that is still under way comes first
        live = entry.live
    if live and live.pid == pid:
        await container_ended(engine, entry, live, exit_code(wait_status), time_ns)


def _exec_ended(engine: Engine, session: ExecSession, code: int) -> None:
    session.record = replace(session.record, running=False, exit_code=code)
    entry = engine.containers.get(session.record.container_id)
    session.stdin.close()
    session.close_console()
    session.ended.set()
    if entry:
        engine.events.container("exec_die", entry.record, execID=session.record.id, exitCode=str(code))


async def container_ended(engine: Engine, entry: Entry, live: Live, code: int, time_ns: int) -> None:
    """From a reaped init to a settled record, then the policy."""
    try:
        await asyncio.wait_for(engine.shepherds.drained(entry.id), _OUTPUT_PATIENCE)
    except TimeoutError:
        await engine.shepherds.cut_off(entry.id)
    async with entry.lock:
        if entry.live is not live:
            return
        oom.listen(engine)  # before the watch ends with the rest
        oom.catch_up(engine, entry, live)
        entry.live = None
        entry.running.clear()
        health.stop(engine, entry)
        await live.undo.aclose()
        again = not engine.stopping and restart.should_restart(
            entry.record.host.restart_policy, code, entry.record.restart_count, entry.stop_requested
        )
        record = _settled(entry.record, again, exit_code=code, finished_at=time_ns)
        if _removes_itself(engine, entry, again):
            entry.record = record  # and not to disk: a crash now finds the exit record, and comes back here
        else:
            engine.containers.save(entry, record)
            _forget_exit(engine, entry)
    engine.events.container("die", entry.record, exitCode=str(code), execDuration=str(int(time.monotonic() - live.started)))
    usage_events.given_back(engine, entry.record)
    wait.exited(entry)  # also if it starts again, which dockerd tells nobody who waits for an exit
    await _afterwards(engine, entry, live, again)


def _removes_itself(engine: Engine, entry: Entry, again: bool) -> bool:
    spared = again or engine.stopping or entry.removing or entry.restart_requested
    return entry.record.host.auto_remove and not spared


def _forget_exit(engine: Engine, entry: Entry) -> None:
    """The launcher's note of the exit is not needed any more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(engine.layout.exited, entry.id))


def _settled(record: Container, again: bool, **changes: object) -> Container:
    """The record of a container that is down: no pid, no addresses."""
    endpoints = {
        name: replace(
            endpoint,
            endpoint_id="",
            gateway="",
            ip_address="",
            ip_prefix_len=0,
            mac_address="",
            host_interface="",
            ipv6_gateway="",
            global_ipv6_address="",
            global_ipv6_prefix_len=0,
        )
        for name, endpoint in record.endpoints.items()
    }
    state = replace(record.state, status="restarting" if again else "exited", pid=0, **changes)  # type: ignore[arg-type]
    return replace(record, state=state, endpoints=endpoints, ports={}, restart_count=record.restart_count + again)


async def _afterwards(engine: Engine, entry: Entry, live: Live, again: bool) -> None:
    if again:
        entry.failures = 0 if time.monotonic() - live.started > restart.LONG_ENOUGH else entry.failures + 1
        entry.restarting = asyncio.create_task(_start_again(engine, entry))
    elif _removes_itself(engine, entry, again):
        try:
            await remove.remove(engine, entry.id, force=True, volumes=True)
        except FirkinError:
            pass  # a client's own `rm` came first
        _forget_exit(engine, entry)


async def _start_again(engine: Engine, entry: Entry) -> None:
    """Wait out the delay, then start; a person's stop cancels this task."""
    try:
        await asyncio.sleep(restart.delay(entry.failures))
        entry.restarting = None
        await start.start_again(engine, entry)
    except asyncio.CancelledError:
        engine.containers.save_state(entry, status="exited")
        wait.exited(entry)
    except FirkinError as error:
        engine.containers.save_state(entry, status="exited", error=error.message)
        wait.exited(entry)
