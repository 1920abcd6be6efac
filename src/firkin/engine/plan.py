"""Plan: what a `run` would do, step by step in words, without doing it (`firkin run --plan`).

A container is made, everything a start decides is decided, and then all of it is given back.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

from firkin.engine import userns
from firkin.engine.create import create
from firkin.engine.engine import Engine
from firkin.engine.remove import remove
from firkin.engine.start import decide, launch_value
from firkin.engine.table import Entry
from firkin.model import CreateRequest
from firkin.runtime.cgroup_settings import cgroup_settings
from firkin.runtime.describe import describe, namespaces
from firkin.runtime.plan import container_plan


async def plan(engine: Engine, request: CreateRequest) -> list[str]:
    """One sentence a step, in order; raises what create and start would raise."""
    made = await create(engine, request)
    entry = engine.containers.find(made.id)
    try:
        return await _steps(engine, entry)
    finally:
        await remove(engine, made.id, volumes=True)


async def _steps(engine: Engine, entry: Entry) -> list[str]:
    async with entry.lock, AsyncExitStack() as undo:
        attachment = await engine.networks.acquire(entry.record)
        undo.push_async_callback(engine.networks.release, entry.id)
        record = replace(entry.record, endpoints=attachment.endpoints, ports=attachment.ports)
        record = userns.acquire(engine, record, undo)
        config = await decide(engine, record, undo)
        limits = config.linux.resources
        settings = cgroup_settings(limits, engine.cgroups.version) if limits else []
        stdio = ("null", "null", "null") if record.config.tty else ("stdin", "stdout", "stderr")
        fds = ["cgroup"] if engine.cgroups.unified else []
        value = container_plan(config, launch_value(engine, record, config, attachment, stdio, fds))
        return [
            f"make the cgroup {config.linux.cgroups_path}",
            *(f"limit it: write {text} to {name}" for _, name, text in settings),
            f"clone a child into new {namespaces(value['clone'])}{', born in the cgroup' if 'cgroup' in value else ''}",
            *(f"beside it, in the launcher: {describe(step)}" for step in value["parent"]),
            *(describe(step) for step in value["child"]),
        ]
