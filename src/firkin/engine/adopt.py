"""Adopt: what a daemon does, on starting, with the containers an earlier one left.

Each record is compared with what is true now: its process lives (take it over), it has been reaped meanwhile (settle
its exit), or there is neither (the machine was rebooted: it ended with 255, as dockerd says). One that is down is swept.
Then policies apply.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from contextlib import AsyncExitStack

from firkin.engine import connect, exits, health, oom, remove, restart, shared_memory, start
from firkin.engine.engine import Engine
from firkin.engine.states import is_up
from firkin.engine.surroundings import cgroup_path, forget_notes, remove_cgroup
from firkin.engine.table import Entry, Live
from firkin.errors import Conflict, FirkinError
from firkin.runtime.exits import is_running

_LOST = 255


async def adopt(engine: Engine) -> None:
    """Bring every record up to date; afterwards, `start_policies`."""
    for broken in engine.containers.load():
        shutil.rmtree(engine.layout.container(broken), ignore_errors=True)
    engine.snapshots.keep_only({entry.id for entry in engine.containers})
    shared_memory.keep_only(engine, {entry.id for entry in engine.containers if is_up(entry.record)})
    for entry in engine.containers:
        if is_up(entry.record):
            await _take_over(engine, entry)
        else:
            await _sweep(engine, entry)
    await engine.volumes.sweep()


def start_policies(engine: Engine) -> None:
    """Start, in the background, what its restart policy wants started with the daemon."""
    for entry in engine.containers:
        state = entry.record.state
        if state.status == "exited" and restart.should_start_with_daemon(
            entry.record.host.restart_policy, state.exit_code, entry.record.manually_stopped
        ):
            entry.restarting = asyncio.create_task(_start_quietly(engine, entry))


async def _take_over(engine: Engine, entry: Entry) -> None:
    """Of a container that was up: live again here, or ended meanwhile."""
    record = entry.record
    exit_record = _exit_record(engine, entry)
    pidfd = None if exit_record else _open_process(engine, entry)
    undo = AsyncExitStack()
    undo.push_async_callback(engine.networks.release, record.id)
    engine.users.hold(record.id, record.id_maps)
    undo.callback(engine.users.release, record.id)
    engine.volumes.adopt(record.mounts)
    undo.push_async_callback(engine.volumes.let_go, record.mounts)
    undo.callback(shared_memory.release, engine, record.id)
    undo.push_async_callback(remove_cgroup, engine, cgroup_path(engine, record))
    if pidfd is None:
        live = Live(record.state.pid, -1, cgroup_path(engine, record), undo, time.monotonic())
        entry.live = live
        status, when = exit_record or (_LOST << 8, time.time_ns())
        await exits.container_ended(engine, entry, live, exits.exit_code(status), when)
        return
    console = await engine.shepherds.console(record.id) if record.config.tty else None
    entry.live = Live(record.state.pid, pidfd, cgroup_path(engine, record), undo, time.monotonic(), console)
    undo.callback(start.close_live, entry, entry.live)
    entry.running.set()
    if engine.networks.restore(record):
        with contextlib.suppress(Conflict):  # it ends at this very moment, of which the engine is about to hear
            await engine.networks.serve_names(record, await connect.dns_sockets(engine, entry.live))
    oom.watch(engine, entry, entry.live)
    health.start(engine, entry)


async def _sweep(engine: Engine, entry: Entry) -> None:
    """A container that is down holds nothing: what a daemon killed in the middle of its start, end or removal left goes.

    Nobody was told that a process started then, so it ends. Its record goes first, lest its exit be written down."""
    forget_notes(engine, entry.id)
    if engine.cgroups.exists(cgroup_path(engine, entry.record)):
        await remove_cgroup(engine, cgroup_path(engine, entry.record))
    if entry.record.host.auto_remove:
        await remove.remove(engine, entry.id, volumes=True)


def _exit_record(engine: Engine, entry: Entry) -> tuple[int, int] | None:
    """(wait status, time in ns) of an exit that nobody has recorded in the container's own record yet."""
    try:
        pid, status, when = map(int, os.readlink(os.path.join(engine.layout.exited, entry.id)).split())
    except FileNotFoundError:
        return None
    return (status, when) if pid == entry.record.state.pid else None


def _open_process(engine: Engine, entry: Entry) -> int | None:
    """A pidfd of the container's init if it is alive; None when the pid is gone or another process's by now."""
    pid = entry.record.state.pid
    if not pid or not is_running(engine.layout.exec_root, entry.id, pid):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


async def _start_quietly(engine: Engine, entry: Entry) -> None:
    """A container that cannot be started now must not keep the daemon from starting."""
    try:
        await start.start_again(engine, entry)
    except FirkinError:
        pass  # the record says why
