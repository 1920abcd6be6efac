"""Which mounts a container gets: `-v`, `--mount`, `--volumes-from`, `--tmpfs` and the image's VOLUMEs, decided at create.

Source: moby `volume/mounts/linux_parser.go` (syntax and error texts) and `daemon/volumes.go` (precedence:
volumes-from, then binds, then mounts, then the image's volumes at paths nothing else took).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace

from firkin.engine import volumes
from firkin.engine.engine import Engine
from firkin.errors import Internal, Invalid, reason
from firkin.ids import is_name
from firkin.linux.mount import tree
from firkin.model import CreateRequest, MountPoint, MountRequest
from firkin.runtime import id_maps

_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_MODES = frozenset(("rw", "ro", "z", "Z", "nocopy", "cached", "delegated", "consistent", *_PROPAGATIONS))


def parse_bind(text: str) -> tuple[str, str, str]:
    """`[SOURCE:]TARGET[:MODE]` as (source, target, mode); "" for an absent part. Raises `Invalid`."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise Invalid(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        source, target, mode = "", parts[0], ""
    elif len(parts) == 2 and not parts[1].startswith("/"):
        source, target, mode = "", parts[0], parts[1]
    else:
        source, target, mode = parts[0], parts[1], parts[2] if len(parts) == 3 else ""
    _check_target(target, text)
    options = mode.split(",") if mode else []
    if any(option not in _MODES and not _is_idmap(option) for option in options):
        raise Invalid(f"invalid volume specification: '{text}': invalid mode: {mode}")
    if source and not source.startswith("/") and not is_name(source):
        raise Invalid(
            f"invalid volume specification: '{text}': {source!r} includes invalid characters for a local volume name, "
            'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    return source, target, mode


def _check_target(target: str, text: str) -> None:
    if not target.startswith("/"):
        raise Invalid(f"invalid volume specification: '{text}': invalid mount path: '{target}' mount path must be absolute")
    if posixpath.normpath(target) in ("/", "//"):
        raise Invalid(f"invalid volume specification: '{text}': destination can't be '/'")


def _propagation(mode: str) -> str:
    return next((option for option in mode.split(",") if option in _PROPAGATIONS), "")


def _is_idmap(option: str) -> bool:
    return option.partition("=")[0] in ("idmap", "ridmap")


def _idmap(mode: str) -> str:
    """The word that says how the owners of a bind mount's files are shown; raises `Invalid` if it has no sense."""
    word = next((option for option in mode.split(",") if _is_idmap(option)), "")
    if word:
        id_maps.parse_mount(word)
    return word


def _from_bind(text: str, driver: str) -> MountPoint:
    source, target, mode = parse_bind(text)
    writable = "ro" not in mode.split(",")
    target = posixpath.normpath(target)
    if source.startswith("/"):
        source = posixpath.normpath(source)
        propagation = _propagation(mode) or "rprivate"
        return MountPoint("bind", source, target, mode=mode, read_write=writable, propagation=propagation, idmap=_idmap(mode))
    no_copy = "nocopy" in mode.split(",")
    request = MountRequest("volume", target, source, read_only=not writable, no_copy=no_copy, driver=driver, idmap=_idmap(mode))
    return replace(_volume(request), mode=mode or "z")


def _from_request(request: MountRequest) -> MountPoint:
    _check_target(request.target, request.target)
    target = posixpath.normpath(request.target)
    if request.type == "tmpfs":
        return MountPoint("tmpfs", "", target, read_write=not request.read_only, request=request)
    if request.type == "volume":
        return replace(_volume(request), mode="z")
    if request.type != "bind":
        raise Invalid(f"mount type unknown: {request.type!r}")
    if not request.source.startswith("/"):
        raise Invalid('invalid mount config for type "bind": invalid mount path: mount path must be absolute')
    return MountPoint(
        "bind",
        posixpath.normpath(request.source),
        target,
        read_write=not request.read_only,
        propagation=request.propagation or "rprivate",
        idmap=_idmap(request.idmap),
        request=request,
    )


def _volume(request: MountRequest) -> MountPoint:
    """A mount of a volume that is made last, once nothing else can be refused."""
    target, writable = posixpath.normpath(request.target), not request.read_only
    return MountPoint("volume", "", target, read_write=writable, idmap=_idmap(request.idmap), request=request)


def ensure_sources(mounts: Iterable[MountPoint]) -> None:
    """At create, and at every start: dockerd makes a missing `-v` source a directory and refuses a missing `--mount`."""
    for mount in mounts:
        if mount.type != "bind" or os.path.lexists(mount.source):
            continue
        if mount.request and not mount.request.create_mountpoint:
            raise Invalid(f'invalid mount config for type "bind": bind source path does not exist: {mount.source}')
        try:
            os.makedirs(mount.source, exist_ok=True)
        except OSError as error:
            raise Internal(f"make bind source {mount.source}: {reason(error)}") from error


def _made(engine: Engine, mount: MountPoint) -> MountPoint:
    """With its volume, made if there is none of the name; an anonymous one gets an id for a name."""
    request = mount.request
    if mount.type != "volume" or mount.source or request is None:
        return mount
    volume = volumes.ensure(engine, request.source, request.driver or "local", request.driver_options, request.labels)
    return replace(mount, source=volume.mountpoint, name=volume.name, driver=volume.driver)


def _inherited(engine: Engine, spec: str) -> list[MountPoint]:
    """`--volumes-from CONTAINER[:ro|rw]`."""
    ref, _, mode = spec.partition(":")
    if mode not in ("", "ro", "rw", "z", "Z"):
        raise Invalid(f"invalid mode for volumes-from: {mode}")
    mounts = engine.containers.find(ref).record.mounts
    writable = mode != "ro"
    return [replace(m, mode="", read_write=m.read_write and writable) for m in mounts if m.type != "tmpfs"]


def decide_mounts(engine: Engine, request: CreateRequest, image_volumes: tuple[str, ...]) -> tuple[MountPoint, ...]:
    """Every mount of the container, by destination; volumes that must exist exist when this returns.

    Raises `Invalid` for bad syntax, a missing bind source, or two mounts at one destination.
    """
    chosen: dict[str, MountPoint] = {}
    for spec in request.host.volumes_from:
        chosen.update((mount.destination, mount) for mount in _inherited(engine, spec))
    asked = [_from_bind(text, request.host.volume_driver) for text in request.host.binds]
    asked += [_from_request(mount) for mount in request.host.mounts]
    for target in request.host.tmpfs:
        _check_target(target, target)
    taken = {posixpath.normpath(target) for target in request.host.tmpfs}
    for mount in asked:
        if mount.destination in taken:
            raise Invalid(f"Duplicate mount point: {mount.destination}")
        taken.add(mount.destination)
        chosen[mount.destination] = mount
    for target in (posixpath.normpath("/" + path.lstrip("/")) for path in image_volumes):
        _check_target(target, target)
        if target not in chosen and target not in taken:
            chosen[target] = _volume(MountRequest("volume", target))
    ensure_sources(chosen.values())
    return tuple(_made(engine, mount) for mount in chosen.values())


def with_subpaths(mounts: tuple[MountPoint, ...]) -> tuple[MountPoint, ...]:
    """As the child is to see them: a directory within a volume travels as a descriptor (`open_subpaths`), because the
    volume's content is hostile and a path in it could lead anywhere."""
    return tuple(replace(mount, source="fd:" + _descriptor_name(mount)) if _subpath(mount) else mount for mount in mounts)


def open_subpaths(engine: Engine, mounts: tuple[MountPoint, ...], closing: ExitStack) -> dict[str, int]:
    """The descriptors that `with_subpaths` speaks of, by name: mounts of those directories, attached nowhere yet."""
    found = {}
    for mount in mounts:
        if subpath := _subpath(mount):
            directory = engine.volumes.open_subpath(mount.name, subpath)
            try:
                found[_descriptor_name(mount)] = detached = tree(directory, recursive=True)
            except OSError as error:
                raise Internal(f"mount {subpath!r} of volume {mount.name}: {reason(error)}") from error
            finally:
                os.close(directory)
            closing.callback(os.close, detached)
    return found


def _subpath(mount: MountPoint) -> str:
    return mount.request.subpath if mount.request and mount.type == "volume" else ""


def _descriptor_name(mount: MountPoint) -> str:
    return "volume " + mount.destination
