"""Links: `--link NAME:ALIAS`, how containers on the default network found each other before networks had names.

Invariant: a record holds a link as `ID:ALIAS`, so that it survives a renaming. A start turns links into environment
variables; their lines in /etc/hosts are `network.resolution`'s. The variables that sum up a range of ports are left out.
Source: moby `daemon/links/links.go`, `daemon/container_operations_unix.go` (setupLinkedContainers).
"""

from __future__ import annotations

from dataclasses import replace

from firkin.engine.engine import Engine
from firkin.errors import Conflict, Invalid, NotFound
from firkin.model import Container

_NOT_PASSED_ON = ("HOME", "PATH")


def resolve(engine: Engine, links: tuple[str, ...]) -> tuple[str, ...]:
    """The client's `NAME`, `NAME:ALIAS` or (as inspect shows it) `/NAME:/PARENT/ALIAS`, as a record holds them.
    Raises `Invalid` for a container that does not exist."""
    found = []
    for link in links:
        name, _, alias = link.partition(":")
        try:
            linked = engine.containers.find(name.removeprefix("/"))
        except NotFound as error:
            raise Invalid(f"could not get container for {name}: {error.message}") from None
        found.append(f"{linked.id}:{alias.rpartition('/')[2] or name.removeprefix('/')}")
    return tuple(found)


def shown(engine: Engine, record: Container) -> tuple[str, ...]:
    """As inspect shows them."""
    return tuple(f"/{linked.name}:/{record.name}/{alias}" for linked, alias in _linked(engine, record))


def environment(engine: Engine, record: Container) -> tuple[str, ...]:
    """Variables for a container about to start; raises `Conflict` when one that it is linked to does not run."""
    found: list[str] = []
    for linked, alias in _linked(engine, record):
        if linked.state.status not in ("running", "paused"):
            raise Conflict(f"Cannot link to a non running container: /{linked.name} AS /{record.name}/{alias}")
        address = next((one.ip_address for one in linked.endpoints.values() if one.ip_address), "")
        found += variables(alias, f"/{record.name}/{alias}", address, linked.config.exposed_ports, linked.config.env)
    return tuple(found)


def variables(alias: str, name: str, address: str, ports: tuple[str, ...], env: tuple[str, ...]) -> list[str]:
    """What a link says of a container at `address` that exposes `ports` ("80/tcp") and runs with `env`."""
    prefix = alias.upper().replace("-", "_")
    in_order = sorted((int(number), protocol) for number, _, protocol in (port.partition("/") for port in ports))
    found = [f"{prefix}_PORT={protocol}://{address}:{number}" for number, protocol in in_order[:1]]
    for number, protocol in in_order:
        port = f"{prefix}_PORT_{number}_{protocol.upper()}"
        found += [
            f"{port}={protocol}://{address}:{number}",
            f"{port}_ADDR={address}",
            f"{port}_PORT={number}",
            f"{port}_PROTO={protocol}",
        ]
    found.append(f"{prefix}_NAME={name}")
    pairs = (entry.partition("=") for entry in env)
    return found + [f"{prefix}_ENV_{key}={value}" for key, equals, value in pairs if equals and key not in _NOT_PASSED_ON]


async def remove(engine: Engine, ref: str) -> None:
    """`docker rm --link PARENT/ALIAS`: the next start goes without it. Raises `NotFound`, or `Conflict` for a name that is
    no link's."""
    parent, slash, alias = ref.removeprefix("/").rpartition("/")
    if not slash:
        raise Conflict("Conflict, cannot remove the default link name of the container")
    try:
        entry = engine.containers.find(parent)
    except NotFound:
        raise NotFound(f"No such container: {ref}") from None
    async with entry.lock:
        left = tuple(link for link in entry.record.host.links if link.partition(":")[2] != alias)
        if left == entry.record.host.links:
            raise NotFound(f"No such container: {ref}")
        engine.containers.save(entry, replace(entry.record, host=replace(entry.record.host, links=left)))


def _linked(engine: Engine, record: Container) -> list[tuple[Container, str]]:
    """Those that still exist, each with its alias."""
    pairs = (link.partition(":")[::2] for link in record.host.links)
    return [(entry.record, alias) for container_id, alias in pairs if (entry := engine.containers.get(container_id))]
