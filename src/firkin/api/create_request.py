"""The body of `POST /containers/create` as a value, as the version that the client speaks means it.

Source: moby `daemon/server/router/container/container_routes.go`, `postContainersCreate`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from firkin.api.decode import decode
from firkin.api.versions import Dialect
from firkin.errors import Invalid
from firkin.model import CreateRequest, HostConfig, Resources

_OPTIONS_OF = {"BindOptions": "bind", "VolumeOptions": "volume", "TmpfsOptions": "tmpfs", "ImageOptions": "image"}


def read(document: dict[str, Any], dialect: Dialect, name: str = "", platform: str = "") -> CreateRequest:
    """Raises `Invalid` for what cannot be read; whether it makes sense is the engine's to say."""
    if not document:
        raise Invalid("config cannot be empty in order to create a container")
    request = decode(CreateRequest, document)
    _check_mounts(document)
    host = _as_meant(replace(request.host, resources=_without_sentinels(request.host.resources)), dialect)
    config = request.config if dialect.has_container_mac_address else replace(request.config, mac_address="")
    return replace(request, config=config, host=host, name=name.removeprefix("/"), platform=platform)


def _without_sentinels(limits: Resources) -> Resources:
    """Clients write 0 or -1 where they mean that nothing was asked for."""
    pids = limits.pids_limit if (limits.pids_limit or 0) > 0 else None
    swappiness = None if limits.memory_swappiness == -1 else limits.memory_swappiness
    return replace(limits, pids_limit=pids, memory_swappiness=swappiness)


def _as_meant(host: HostConfig, dialect: Dialect) -> HostConfig:
    """What an old version did not know is dropped; what it took for granted is said."""
    if not dialect.removes_containers_itself:
        host = replace(host, auto_remove=False)
    if dialect.shares_ipc_by_default:
        host = replace(host, ipc_mode=host.ipc_mode or "shareable")
    if dialect.joins_host_cgroupns_by_default:
        host = replace(host, cgroupns_mode=host.cgroupns_mode or "host")
    if not dialect.sizes_consoles_at_create:
        host = replace(host, console_size=(0, 0))
    return host if dialect.has_annotations else replace(host, annotations={})


def _check_mounts(document: dict[str, Any]) -> None:
    """Options of one type of mount on another are refused."""
    for mount in _member(_member(document, "HostConfig"), "Mounts") or ():
        given = _member(mount, "Type")
        for name, kind in _OPTIONS_OF.items():
            if _member(mount, name) is not None and given != kind:
                raise Invalid(f'invalid mount config for type "{given}": field {name} must not be specified')


def _member(document: Any, name: str) -> Any:
    """A member of a JSON object in whatever case it is written, None where there is none (or no object)."""
    if not isinstance(document, dict):
        return None
    return next((value for key, value in document.items() if key.lower() == name.lower()), None)
