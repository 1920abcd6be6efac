"""User namespaces of containers: whether one has its own, shares another's or has none, and what its ids stand for.

Files in layers and volumes have the ids on the disk that they have inside, so the next start may get another range; it gets
the last one again if that is free, for the sake of what the container owns elsewhere.
Source: podman-run(1) `--userns`, moby daemon/daemon_unix.go (verifyPlatformContainerSettings), daemon/oci_linux.go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace

from firkin.engine import userns_mode
from firkin.engine.engine import Engine
from firkin.errors import Conflict, Invalid, Unsupported
from firkin.model import Container, ContainerConfig, CreateRequest, HostConfig, IdMaps, MountPoint
from firkin.runtime import id_maps
from firkin.runtime.machine import kernel

_OLDEST_KERNEL = (5, 19)  # overlay takes idmapped layers
_JOINING = "container:"
_REFUSED = {
    "network_mode": "cannot share the host's network namespace when user namespaces are enabled",
    "pid_mode": "cannot share the host PID namespace when user namespaces are enabled",
    "ipc_mode": "cannot share the host's IPC namespace when user namespaces are enabled",
}
_PRIVILEGED = (
    "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace "
    "when running privileged mode"
)


def validate(engine: Engine, host: HostConfig) -> None:
    """Raises `Invalid` for a bad mode and for what dockerd refuses with a remapped root, `Unsupported` for an old kernel."""
    mode = userns_mode.parse(host.userns_mode)
    owners = _joined_modes(host)
    if mode.kind not in ("default", "host") and owners:
        raise Invalid(f"conflicting options: --userns={host.userns_mode} and {owners[0]}, whose user namespace it would share")
    if mode.kind == "host" or (mode.kind == "default" and not engine.users.remap):
        return
    if mode.kind == "default" and host.privileged:
        raise Invalid(_PRIVILEGED)
    for field, complaint in _REFUSED.items():
        if getattr(host, field) == "host":
            raise Invalid(complaint)
    if owners:
        return
    if engine.machine.user_namespace:
        raise Unsupported(f"--userns={host.userns_mode}: this engine is in a user namespace itself, which maps no mounts")
    if kernel() < _OLDEST_KERNEL:
        raise Unsupported("a user namespace for a container: overlay on idmapped layers needs Linux 5.19")


def with_user(config: ContainerConfig, request: CreateRequest) -> ContainerConfig:
    """Whose id is kept is who runs the program, unless the client names somebody."""
    mode = userns_mode.parse(request.host.userns_mode)
    return config if mode.kind != "keep-id" or request.config.user else replace(config, user=f"{mode.kept[0]}:{mode.kept[1]}")


def _joined_modes(host: HostConfig) -> list[str]:
    return [mode for mode in (host.network_mode, host.ipc_mode, host.pid_mode) if mode.startswith(_JOINING)]


def acquire(engine: Engine, record: Container, undo: AsyncExitStack) -> Container:
    """The record with the maps of this start, which are held until `undo`."""
    owner = _owner(engine, record)
    if owner:
        maps = owner.id_maps
    else:
        remembered = [
            other.record.id_maps for other in engine.containers if other.record.id_maps and other.record.id != record.id
        ]
        maps = engine.users.choose(userns_mode.parse(record.host.userns_mode), record.id_maps, remembered)
    engine.users.hold(record.id, maps)
    undo.callback(engine.users.release, record.id)
    return replace(record, id_maps=maps)


def _owner(engine: Engine, record: Container) -> Container | None:
    """The container whose user namespace this one shares, as it shares another namespace of it: the kernel lets nobody
    else in. Raises `Conflict` when there are two such, with different ones."""
    if record.host.userns_mode == "host":
        return None
    owners = [engine.containers.joined(mode) for mode in _joined_modes(record.host)]
    if len({_namespace(owner) for owner in owners}) > 1:
        raise Conflict("join namespaces of containers that are in different user namespaces: not possible")
    return owners[0] if owners else None


def _namespace(owner: Container) -> int:
    try:
        return os.stat(f"/proc/{owner.state.pid}/ns/user").st_ino if owner.state.pid else 0
    except FileNotFoundError:
        return 0


def joined_path(engine: Engine, record: Container) -> str:
    """Of the user namespace that a record with maps shares, "" for one of its own."""
    owner = _owner(engine, record)
    return f"/proc/{owner.state.pid}/ns/user" if owner else ""


def mapped_mounts(engine: Engine, record: Container) -> tuple[MountPoint, ...]:
    """The mounts of a record that is about to start. What is the engine's own, files of volumes, has the same owners in
    every container. What comes from elsewhere, by a bind or by a volume's driver options, is mapped on demand only."""
    if record.id_maps is None:
        return record.mounts
    return tuple(
        replace(mount, idmap="idmap") if _is_ours(engine, mount) and not mount.idmap else mount for mount in record.mounts
    )


def check_mounts(engine: Engine, host: HostConfig, mounts: Iterable[MountPoint]) -> None:
    """`idmap` without a map of its own means the user namespace's. Raises `Invalid` where there will be none."""
    mode = userns_mode.parse(host.userns_mode)
    if mode.kind != "host" and (mode.kind != "default" or engine.users.remap or _joined_modes(host)):
        return
    for mount in mounts:
        if mount.idmap in ("idmap", "ridmap"):
            raise Invalid(f"mount {mount.source} on {mount.destination}: idmap wants a user namespace (--userns) or a map")


def _is_ours(engine: Engine, mount: MountPoint) -> bool:
    return mount.type == "volume" and not engine.volumes.inspect(mount.name).options


def root_of(maps: IdMaps | None) -> tuple[int, int] | None:
    """The machine's ids of root in the container."""
    if maps is None:
        return None
    return id_maps.outside_of(maps.users, 0) or 0, id_maps.outside_of(maps.groups, 0) or 0
