"""Commit: a container's changes as a new image on top of the one it was made from.

Source: Docker Engine API, `POST /commit`; the container is paused meanwhile unless the client wants otherwise
(or there is no freezer).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack

from firkin.engine import pause as pausing
from firkin.engine.engine import Engine
from firkin.engine.merge import merge
from firkin.errors import Conflict, NotFound
from firkin.images.changes import apply_changes
from firkin.images.make import Recipe
from firkin.model import ContainerConfig
from firkin.oci.image import Healthcheck, RunConfig
from firkin.oci.reference import parse_reference


async def commit(
    engine: Engine,
    ref: str,
    name: str = "",
    *,
    comment: str = "",
    author: str = "",
    pause: bool = True,
    changes: Sequence[str] = (),
    config: ContainerConfig | None = None,
) -> str:
    """The new image's id. `changes` are Dockerfile instructions, `config` replaces what it gives of the container's own."""
    record = engine.containers.find(ref).record
    base = engine.images.resolve(record.image_id)
    effective = merge(_run_config(record.config), config) if config else record.config
    recipe = Recipe(
        apply_changes(_run_config(effective), changes),
        created_by=" ".join((record.path, *record.args)),
        comment=comment,
        author=author,
        container=record.id,
    )
    async with AsyncExitStack() as undo:
        if pause and record.state.status == "running" and engine.cgroups.version("freezer"):
            await _hold_still(engine, record.id, undo)
        image = await engine.images.commit(base, engine.snapshots.diff(record.id), recipe, name)
        familiar = parse_reference(name).with_default_tag().familiar if name else ""
        engine.events.container("commit", record, comment=comment, imageID=image.id, imageRef=familiar)
    return image.id


async def _hold_still(engine: Engine, container_id: str, undo: AsyncExitStack) -> None:
    """Paused until it is undone; a container that has ended, or ends meanwhile, is still enough."""

    async def go_on() -> None:
        with contextlib.suppress(Conflict, NotFound):
            await pausing.unpause(engine, container_id)

    with contextlib.suppress(Conflict):
        await pausing.pause(engine, container_id)
        undo.push_async_callback(go_on)


def _run_config(config: ContainerConfig) -> RunConfig:
    """The part of a container's configuration that an image keeps."""
    return RunConfig(
        user=config.user,
        exposed_ports={port: {} for port in config.exposed_ports},
        env=config.env,
        entrypoint=config.entrypoint,
        cmd=config.cmd,
        healthcheck=_healthcheck(config),
        volumes={path: {} for path in config.volumes},
        working_dir=config.working_dir,
        on_build=config.on_build,
        labels=config.labels,
        stop_signal=config.stop_signal,
        stop_timeout=config.stop_timeout,
        shell=config.shell,
    )


def _healthcheck(config: ContainerConfig) -> Healthcheck | None:
    check = config.healthcheck
    if check is None:
        return None
    return Healthcheck(check.test, check.interval, check.timeout, check.start_period, check.start_interval, check.retries)
