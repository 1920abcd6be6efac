"""Events of networks and volumes that come with a container's life: it joins and mounts at its start, leaves at its end.

Source: moby `daemon/container_operations.go` (connect, disconnect) and `volume/mounts` users (mount, unmount).
"""

from __future__ import annotations

from firkin.engine.engine import Engine
from firkin.errors import NotFound
from firkin.model import Container, MountPoint


def taken(engine: Engine, record: Container) -> None:
    """At a start: its networks, then its volumes."""
    _networks(engine, record, "connect")
    for mount in _volumes(record):
        details = {
            "destination": mount.destination,
            "read/write": str(mount.read_write).lower(),
            "propagation": mount.propagation,
        }
        engine.events.publish("volume", "mount", mount.name, {"driver": mount.driver, "container": record.id, **details})


def given_back(engine: Engine, record: Container) -> None:
    """At its end, in the same order."""
    _networks(engine, record, "disconnect")
    for mount in _volumes(record):
        engine.events.publish("volume", "unmount", mount.name, {"driver": mount.driver, "container": record.id})


def _networks(engine: Engine, record: Container, action: str) -> None:
    for endpoint in record.endpoints.values():
        try:
            network = engine.networks.find(endpoint.network_id)
        except NotFound:
            continue  # removed by force meanwhile
        attributes = {"name": network.name, "type": network.driver, "container": record.id}
        engine.events.publish("network", action, network.id, attributes)


def _volumes(record: Container) -> list[MountPoint]:
    return [mount for mount in record.mounts if mount.type == "volume"]
