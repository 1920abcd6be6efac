"""What a container finds around it that is neither image nor kernel: its cgroup, its /etc files, namespaces it shares.

Each acquisition pushes its undo, so that a failed start leaves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import AsyncExitStack

from firkin.engine import cgroup_conf, links, shared_memory, userns
from firkin.engine.engine import Engine
from firkin.errors import Conflict
from firkin.model import Container
from firkin.oci.runtime_resources import Resources
from firkin.runtime.cgroup_settings import cgroup_settings, device_rules
from firkin.runtime.sandbox import Sandbox

_REWRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILES = ("hosts", "hostname", "resolv.conf")


def cgroup_path(engine: Engine, record: Container) -> str:
    """`/PARENT/ID`: the same in every hierarchy, and never outside one, whatever dots the parent has."""
    parent = record.host.resources.cgroup_parent or engine.config.cgroup_parent
    return os.path.join(os.path.normpath("/" + parent.lstrip("/")), record.id)


def make_cgroup(engine: Engine, path: str, limits: Resources, undo: AsyncExitStack) -> None:
    """The group with its limits, before anything is in it. A left-over of the same name (a daemon killed at the wrong
    moment) is removed first. Raises `Internal` naming the control file."""
    try:
        if engine.cgroups.exists(path):
            engine.cgroups.remove(path)
        missing = engine.cgroups.create(path, cgroup_settings(limits, engine.cgroups.version), device_rules(limits))
    except OSError as error:
        raise cgroup_conf.refused(limits.unified, error, f"create cgroup {error.filename or path}") from error
    undo.push_async_callback(remove_cgroup, engine, path)
    cgroup_conf.check_there(limits.unified, missing)


async def remove_cgroup(engine: Engine, path: str) -> None:
    """Usually empty by now; if not (a process outside the container's pid namespace), what is left gets killed."""
    try:
        engine.cgroups.remove(path, patience=0)
    except OSError:
        engine.cgroups.kill(path)
        await asyncio.to_thread(engine.cgroups.remove, path)


def forget_notes(engine: Engine, container_id: str) -> None:
    """The shepherds' notes of who runs and how it ended: of a process that nobody was told of, and that is to end unheard."""
    for directory in (engine.layout.running, engine.layout.exited):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, container_id))


def sandbox(engine: Engine, record: Container, undo: AsyncExitStack) -> Sandbox:
    """Write the files and find the namespaces of a container about to start; its networks are acquired already.

    Raises `Conflict` when a container whose namespace it is to join is not running.
    """
    return Sandbox(
        rootfs=engine.layout.staging,
        cgroup=cgroup_path(engine, record),
        files=_files(engine, record),
        shm=shared_memory.acquire(engine, record, undo),
        environment=links.environment(engine, record),
        namespaces=_shared_users(engine, record)
        | {
            kind: _namespace(engine, mode, kind)
            for kind, mode in (
                ("network", record.host.network_mode),
                ("ipc", record.host.ipc_mode),
                ("pid", record.host.pid_mode),
            )
            if mode.startswith("container:")
        },
    )


def _shared_users(engine: Engine, record: Container) -> dict[str, str]:
    path = userns.joined_path(engine, record) if record.id_maps else ""
    return {"user": path} if path else {}


def _namespace(engine: Engine, mode: str, kind: str) -> str:
    owner = engine.containers.joined(mode)
    if owner.state.status not in ("running", "paused"):
        raise Conflict(f"cannot join {kind} namespace of a non running container: {owner.id}")
    return f"/proc/{owner.state.pid}/ns/{'net' if kind == 'network' else kind}"


def _files(engine: Engine, record: Container) -> dict[str, str]:
    """Path inside -> file of the host's. A container in another's network has the other's files."""
    mode = record.host.network_mode
    owner = engine.containers.joined(mode) if mode.startswith("container:") else record
    directory = engine.layout.container(owner.id)
    if owner is record:
        write_files(engine, record)
    return {"/etc/" + name: os.path.join(directory, name) for name in _FILES}


def write_files(engine: Engine, record: Container) -> None:
    """Written in place, for a running container has them bound and must see the new contents when its networks change.
    It may write to them too, but they are regular files of ours: nothing is followed. It may hold a lease on one (fcntl(2),
    F_SETLEASE), for which everybody else would wait most of a minute; then it goes without what is new."""
    for name, text in (
        ("hosts", engine.networks.hosts_file(record)),
        ("hostname", record.config.hostname + "\n"),
        ("resolv.conf", engine.networks.resolv_conf(record)),
    ):
        path = os.path.join(engine.layout.container(record.id), name)
        with contextlib.suppress(BlockingIOError):
            fd = os.open(path, _REWRITE, 0o644)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
