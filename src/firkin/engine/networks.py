"""Networks as verbs: the service's operations, with their events."""

from __future__ import annotations

from collections.abc import Sequence

from firkin.engine.engine import Engine
from firkin.network.model import Network, NetworkRequest


async def create(engine: Engine, request: NetworkRequest) -> Network:
    """Raises `Conflict` for a name that is taken, `Invalid` or `Forbidden` for what cannot be."""
    network = await engine.networks.create(request)
    _tell(engine, "create", network)
    return network


async def remove(engine: Engine, ref: str) -> None:
    """Raises `NotFound`, or `Forbidden` for one that is predefined or has running containers."""
    _tell(engine, "destroy", await engine.networks.remove(ref))


async def prune(engine: Engine, filters: dict[str, list[str]], older_than: int = 0) -> Sequence[str]:
    """Remove what no running container is on, made before `older_than` (ns; 0 for any); the names."""
    networks = {network.name: network for network in engine.networks.list({})}
    names = await engine.networks.prune(filters, older_than)
    for name in names:
        _tell(engine, "destroy", networks[name])
    engine.events.pruned("network", 0)
    return names


def _tell(engine: Engine, action: str, network: Network) -> None:
    engine.events.publish("network", action, network.id, {"name": network.name, "type": network.driver})
