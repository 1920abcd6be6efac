"""Start: from a record to a running process. The one way down, top to bottom.

Acquire (each step pushes its undo), decide (configuration, then plan: values), cross to the launcher, record, announce.
Source: Docker Engine API, `POST /containers/{id}/start`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from firkin.engine import failures, health, log_options, oom, remove, usage_events, userns
from firkin.engine.attach import hand_over
from firkin.engine.detach import parse_keys
from firkin.engine.engine import Engine
from firkin.engine.joining import open_joined
from firkin.engine.mounts import ensure_sources, open_subpaths, with_subpaths
from firkin.engine.relabel import relabel_sources
from firkin.engine.states import require
from firkin.engine.stdio import open_stdio
from firkin.engine.surroundings import cgroup_path, forget_notes, make_cgroup, sandbox
from firkin.engine.table import Entry, Live
from firkin.engine.validate import log_limits
from firkin.errors import FirkinError, Unavailable
from firkin.model import Container
from firkin.network.model import Attachment
from firkin.oci.runtime_config import Config
from firkin.runtime import devices
from firkin.runtime.client import Spawned, SpawnFailed
from firkin.runtime.plan import Launch, container_plan, namespace_paths
from firkin.runtime.spec import build_config


async def start(engine: Engine, ref: str, detach_keys: str = "") -> None:
    """Return once the program runs; raises `NotModified` when it does already, and what the failing step says."""
    parse_keys(detach_keys)
    entry = engine.containers.find(ref)
    async with entry.lock:
        require("start", entry.record, ref)
        entry.stop_requested = False
        if entry.record.restart_count or entry.record.manually_stopped:
            engine.containers.save(entry, replace(entry.record, restart_count=0, manually_stopped=False))
        try:
            await _launch(engine, entry)
            return
        except FirkinError as error:
            failure = error
    if entry.record.host.auto_remove:
        with contextlib.suppress(FirkinError):  # a client's own `rm` came first
            await remove.remove(engine, entry.id, volumes=True)
    raise failure


async def start_again(engine: Engine, entry: Entry) -> None:
    """As a restart policy does it: the count of restarts goes on."""
    async with entry.lock:
        await _launch(engine, entry)


async def _launch(engine: Engine, entry: Entry) -> None:
    """The caller holds the entry's lock."""
    async with AsyncExitStack() as undo:
        try:
            attachment = await engine.networks.acquire(entry.record)
            undo.push_async_callback(engine.networks.release, entry.id)
            record = replace(entry.record, endpoints=attachment.endpoints, ports=attachment.ports)
            record = userns.acquire(engine, record, undo)
            config = await decide(engine, record, undo)
            spawned = await _spawn(engine, entry, record, config, attachment)
        except BaseException as error:
            engine.containers.save_state(entry, error=error.message if isinstance(error, FirkinError) else repr(error))
            _turn_away_attached(entry)
            raise
        if attachment.resolves:
            await engine.networks.serve_names(record, spawned.sockets)
        _now_running(engine, entry, record, spawned, undo.pop_all())
    for sinks in entry.attached_early:
        await hand_over(engine, entry, sinks)
    entry.attached_early.clear()
    usage_events.taken(engine, entry.record)
    engine.events.container("start", entry.record)
    health.start(engine, entry)


async def decide(engine: Engine, record: Container, undo: AsyncExitStack) -> Config:
    """The whole configuration as a value, and the cgroup that it asks for."""
    ensure_sources(record.mounts)
    relabel_sources(engine.machine, record)
    layers = engine.snapshots.layers_of(record.id)
    await engine.volumes.make_ready(record.mounts, layers, first=not record.state.started_at)
    undo.push_async_callback(engine.volumes.let_go, record.mounts)
    surroundings = sandbox(engine, record, undo)
    mounts = with_subpaths(userns.mapped_mounts(engine, record))
    config = build_config(replace(record, mounts=mounts), engine.machine, surroundings, devices.resolve(record.host))
    if config.linux.resources:
        make_cgroup(engine, surroundings.cgroup, config.linux.resources, undo)
    return config


async def _spawn(engine: Engine, entry: Entry, record: Container, config: Config, attachment: Attachment) -> Spawned:
    """Cross over. What only the child needs is closed here whatever comes of it."""
    with open_stdio(entry, userns.root_of(record.id_maps)) as stdio:
        others = {**stdio.fds, **open_subpaths(engine, record.mounts, stdio.closing)}
        if engine.cgroups.unified:
            others["cgroup"] = engine.cgroups.open_group(cgroup_path(engine, record))
            stdio.closing.callback(os.close, others["cgroup"])
        fds = {**others, **open_joined(engine, record.host, namespace_paths(config), stdio.closing)}
        plan = container_plan(config, launch_value(engine, record, config, attachment, stdio.names, list(others)))
        try:
            spawned = await engine.shepherds.spawn(plan, fds)
        except Unavailable:  # the launcher was lost: what it may have started dies with its cgroup
            forget_notes(engine, entry.id)
            raise
        except SpawnFailed as error:
            engine.containers.save_state(entry, exit_code=failures.exit_code(error, plan))
            raise failures.start_error(error, plan) from None
    return spawned


def launch_value(
    engine: Engine, record: Container, config: Config, attachment: Attachment, stdio: tuple[str, str, str], fds: list[str]
) -> Launch:
    seccomp, root = config.linux.seccomp, engine.snapshots.mount(record.id)
    # Nobody sees the files again after the end, which otherwise would wait a millisecond until they are on the disk.
    volatile = record.host.auto_remove and engine.machine.volatile_overlay
    if volatile and record.state.started_at:
        engine.snapshots.allow_remount(record.id)
    return Launch(
        id=record.id,
        root=root,
        staging=engine.layout.staging,
        volatile=volatile,
        join_files=engine.cgroups.join_files(cgroup_path(engine, record)),
        cgroup="cgroup" if "cgroup" in fds else "",
        stdio=stdio,
        fds=fds,
        log=log_settings(engine, record),
        user=record.config.user,
        groups=record.host.group_add,
        parent=attachment.parent_steps,
        network=attachment.child_steps,
        seccomp=engine.filters.program(seccomp) if seccomp else b"",
        bind_devices=engine.machine.user_namespace,
    )


def log_settings(engine: Engine, record: Container) -> dict[str, Any]:
    """The log part of a plan."""
    max_size, max_file = log_limits(record.host.log_config)
    return {
        "path": engine.layout.container_log(record.id),
        "driver": "none" if record.host.log_config.type == "none" else "json-file",
        "max_size": max_size,
        "max_file": max_file,
        "tty": record.config.tty,
        "attributes": log_options.attributes(record),
    }


def _now_running(engine: Engine, entry: Entry, record: Container, spawned: Spawned, undo: AsyncExitStack) -> None:
    if spawned.console is not None:
        os.set_blocking(spawned.console, False)
    live = Live(spawned.pid, spawned.pidfd, cgroup_path(engine, record), undo, time.monotonic(), spawned.console)
    undo.callback(close_live, entry, live)
    entry.live = live
    state = replace(
        record.state,
        status="running",
        pid=spawned.pid,
        exit_code=0,
        error="",
        oom_killed=False,
        started_at=time.time_ns(),
        finished_at=0,
    )
    engine.containers.save(entry, replace(record, state=state))
    entry.running.set()
    asyncio.get_running_loop().call_soon(oom.watch, engine, entry, live)  # the start's answer need not wait for it


def close_live(entry: Entry, live: Live) -> None:
    """What the daemon holds of a container that is down."""
    os.close(live.pidfd)
    if live.console is not None:
        os.close(live.console)
    if entry.stdin:
        entry.stdin.close()
    entry.stdin = None


def _turn_away_attached(entry: Entry) -> None:
    """It did not start: clients that wait for output see its end, and input for it is input for nobody."""
    for sinks in entry.attached_early:
        sinks.close()
    entry.attached_early.clear()
    if entry.stdin:
        entry.stdin.close()
    entry.stdin = None
