"""Listing: finding one container, and the many that filters choose (`docker ps`).

Source: Docker Engine API, `GET /containers/json`, its `filters`; moby `daemon/list.go`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable

from firkin.engine.bounded import thinking
from firkin.engine.engine import Engine
from firkin.engine.states import is_up
from firkin.engine.table import Entry
from firkin.errors import FirkinError, Invalid
from firkin.model import Container

Filters = dict[str, list[str]]
_STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTHS = ("none", "starting", "healthy", "unhealthy")


def find(engine: Engine, ref: str) -> Container:
    """One record; raises `NotFound`, or `Invalid` for an ambiguous prefix."""
    return engine.containers.find(ref).record


def containers(engine: Engine, filters: Filters, all: bool = False, limit: int = 0) -> list[Container]:
    """Newest first. Only those that are up, unless `all`, a `limit`, or a filter on state says otherwise."""
    unknown = set(filters) - set(_TESTS) - {"before", "since", "status"}
    if unknown:
        raise Invalid(f"invalid filter '{min(unknown)}'")
    _check_values(filters)
    records = sorted((entry.record for entry in engine.containers), key=lambda record: record.created, reverse=True)
    records = _between(engine, records, filters)
    everything = all or limit > 0 or bool(filters.keys() & {"status", "exited", "before", "since"})
    with thinking("apply filters"):
        chosen = [record for record in records if (everything or is_up(record)) and _matches(engine, record, filters)]
    return chosen[:limit] if limit > 0 else chosen


async def sizes(engine: Engine, ref: str) -> tuple[int, int]:
    """(bytes of the writable layer, bytes of it and the image together)."""
    record = find(engine, ref)
    writable = await asyncio.to_thread(engine.snapshots.size, record.id)
    try:
        return writable, writable + engine.images.resolve(record.image_id).size
    except FirkinError:
        return writable, writable


def _check_values(filters: Filters) -> None:
    for status in filters.get("status", []):
        if status not in _STATUSES:
            raise Invalid(f"invalid filter 'status={status}'")
    for code in filters.get("exited", []):
        if not code.removeprefix("-").isdecimal():
            raise Invalid(f"invalid filter 'exited={code}': want an exit code")
    for health in filters.get("health", []):
        if health not in _HEALTHS:
            raise Invalid(f"unrecognized filter value for health: {health}")


def _between(engine: Engine, records: list[Container], filters: Filters) -> list[Container]:
    for ref in filters.get("before", []):
        records = [record for record in records if record.created < find(engine, ref).created]
    for ref in filters.get("since", []):
        records = [record for record in records if record.created > find(engine, ref).created]
    return records


def matches_labels(labels: dict[str, str], wanted: Iterable[str]) -> bool:
    """Every `KEY` or `KEY=VALUE` of `wanted` is there."""
    return all(
        (labels.get(key) == value if equals else key in labels)
        for key, equals, value in (text.partition("=") for text in wanted)
    )


def _has_name(name: str, patterns: list[str]) -> bool:
    try:
        return any(re.search(pattern, name) or re.search(pattern, "/" + name) for pattern in patterns)
    except (re.error, RecursionError, OverflowError) as error:
        raise Invalid(f"invalid filter 'name': {error}") from None


def _ancestors(engine: Engine, refs: list[str]) -> set[str]:
    found: set[str] = set()
    for ref in refs:
        try:
            found.add(engine.images.resolve(ref).id)
        except FirkinError:
            continue  # an unknown image has no containers
    return found


def _has_port(record: Container, wanted: list[str]) -> bool:
    return any((port if "/" in port else port + "/tcp") in record.config.exposed_ports for port in wanted)


def _publishes(record: Container, wanted: list[str]) -> bool:
    """Whether any of these ports, of the host's, leads to it."""
    published = {f"{b.host_port}/{port.partition('/')[2]}" for port, bindings in record.ports.items() for b in bindings}
    return any((port if "/" in port else port + "/tcp") in published for port in wanted)


def _volume(record: Container, wanted: list[str]) -> bool:
    return any(name in (mount.name, mount.source, mount.destination) for mount in record.mounts for name in wanted)


def _on_network(record: Container, wanted: list[str]) -> bool:
    return any(
        name in (e.network_name, e.network_id) or e.network_id.startswith(name)
        for e in record.endpoints.values()
        for name in wanted
    )


_TESTS: dict[str, Callable[[Engine, Container, list[str]], bool]] = {
    "id": lambda engine, record, values: any(record.id.startswith(value) for value in values),
    "name": lambda engine, record, values: _has_name(record.name, values),
    "label": lambda engine, record, values: matches_labels(record.config.labels, values),
    "exited": lambda engine, record, values: record.state.status == "exited" and str(record.state.exit_code) in values,
    "ancestor": lambda engine, record, values: record.image_id in _ancestors(engine, values),
    "expose": lambda engine, record, values: _has_port(record, values),
    "publish": lambda engine, record, values: _publishes(record, values),
    "volume": lambda engine, record, values: _volume(record, values),
    "network": lambda engine, record, values: _on_network(record, values),
    "health": lambda engine, record, values: (record.health or "none") in values,
    "is-task": lambda engine, record, values: "false" in values,
    "isolation": lambda engine, record, values: True,
}


def _matches(engine: Engine, record: Container, filters: Filters) -> bool:
    if filters.get("status") and record.state.status not in filters["status"]:
        return False
    return all(test(engine, record, filters[name]) for name, test in _TESTS.items() if filters.get(name))


def entries_to_prune(engine: Engine, filters: Filters, older_than: int) -> list[Entry]:
    """Stopped containers that `docker container prune` may take: created before `older_than` (ns; 0 for any)."""
    return [
        entry
        for entry in engine.containers
        if not is_up(entry.record)
        and (not older_than or entry.record.created < older_than)
        and matches_labels(entry.record.config.labels, filters.get("label", []))
        and not any(matches_labels(entry.record.config.labels, [label]) for label in filters.get("label!", []))
    ]
