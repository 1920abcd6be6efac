"""A container's record as `inspect` shows it: Docker's `ContainerInspectResponse`."""

from __future__ import annotations

import os
from typing import Any

from firkin.api.encode import encode
from firkin.api.shape_network_settings import network_settings
from firkin.api.times import rfc3339
from firkin.api.versions import Dialect
from firkin.model import Container, ContainerConfig, HostConfig, IdMaps, MountPoint
from firkin.paths import Layout

DRIVER = "overlay2"
_NOT_ON_LINUX = {"CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0}


def inspect(
    container: Container,
    layout: Layout,
    dialect: Dialect,
    exec_ids: list[str],
    sizes: tuple[int, int] | None = None,
    apparmor: str = "",
) -> dict[str, Any]:
    """`apparmor`: the profile; `sizes`: bytes of the writable layer, and of all layers together."""
    home = layout.container(container.id)
    document = {
        "Id": container.id,
        "Created": rfc3339(container.created),
        "Path": container.path,
        "Args": list(container.args),
        "State": state(container),
        "Image": container.image_id,
        "ResolvConfPath": os.path.join(home, "resolv.conf"),
        "HostnamePath": os.path.join(home, "hostname"),
        "HostsPath": os.path.join(home, "hosts"),
        "LogPath": layout.container_log(container.id) if container.host.log_config.type == "json-file" else "",
        "Name": "/" + container.name,
        "RestartCount": container.restart_count,
        "Driver": DRIVER,
        "Platform": container.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": apparmor,
        "ExecIDs": exec_ids or None,
        "HostConfig": host_config(container.host, dialect) | _id_mappings(container.id_maps),
        "GraphDriver": {"Name": DRIVER, "Data": _layers(container, layout)},
        "Mounts": [mount_point(mount) for mount in container.mounts],
        "Config": container_config(container.config, dialect),
        "NetworkSettings": network_settings(container, legacy=dialect.has_legacy_network_settings),
    }
    if sizes:
        document |= {"SizeRw": sizes[0], "SizeRootFs": sizes[1]}
    return document


def state(container: Container) -> dict[str, Any]:
    """`ContainerState`; `Health` only for a container with a health check."""
    now = container.state
    document: dict[str, Any] = {
        "Status": now.status,
        "Running": now.status in ("running", "paused", "restarting"),
        "Paused": now.status == "paused",
        "Restarting": now.status == "restarting",
        "OOMKilled": now.oom_killed,
        "Dead": now.status == "dead",
        "Pid": now.pid,
        "ExitCode": now.exit_code,
        "Error": now.error,
        "StartedAt": rfc3339(now.started_at),
        "FinishedAt": rfc3339(now.finished_at),
    }
    if container.health:
        document["Health"] = health(container)
    return document


def health(container: Container) -> dict[str, Any]:
    return {
        "Status": container.health,
        "FailingStreak": container.health_failures,
        "Log": [
            {"Start": rfc3339(r.start), "End": rfc3339(r.end), "ExitCode": r.exit_code, "Output": r.output}
            for r in container.health_log
        ],
    }


def container_config(config: ContainerConfig, dialect: Dialect) -> dict[str, Any]:
    document = encode(config)
    return {"OnBuild": None} | document if dialect.has_empty_on_build else document


def host_config(host: HostConfig, dialect: Dialect) -> dict[str, Any]:
    document = encode(host) | _NOT_ON_LINUX
    if not dialect.has_kernel_memory_tcp:
        document.pop("KernelMemoryTCP", None)
    return document


def _id_mappings(maps: IdMaps | None) -> dict[str, Any]:
    """As podman shows them; Docker has nothing of the kind."""
    if maps is None:
        return {}
    kinds = {"UidMap": maps.users, "GidMap": maps.groups}
    return {"IDMappings": {name: [":".join(map(str, one)) for one in ranges] for name, ranges in kinds.items()}}


def mount_point(mount: MountPoint) -> dict[str, Any]:
    """`MountPoint`; a bind has neither a name nor a driver."""
    document = {"Type": mount.type}
    if mount.name:
        document["Name"] = mount.name
    document |= {"Source": mount.source, "Destination": mount.destination}
    if mount.driver:
        document["Driver"] = mount.driver
    return {**document, "Mode": mount.mode, "RW": mount.read_write, "Propagation": mount.propagation}


def _layers(container: Container, layout: Layout) -> dict[str, str]:
    own = os.path.join(layout.snapshots, container.id)
    return {"UpperDir": os.path.join(own, "upper"), "WorkDir": os.path.join(own, "work")}
