"""An event as Docker's `EventMessage`, and which events a client's filters let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firkin.api.filters import Filters
from firkin.engine.listing import matches_labels
from firkin.model import Event


def event(item: Event, *, legacy: bool) -> dict[str, Any]:
    """`legacy` repeats the essentials at the top, as until API 1.51."""
    document: dict[str, Any] = {
        "Type": item.type,
        "Action": item.action,
        "Actor": {"ID": item.actor_id, "Attributes": item.attributes},
        "scope": "local",
        "time": item.time // 1_000_000_000,
        "timeNano": item.time,
    }
    if legacy and item.type in ("container", "image"):
        document |= {"status": item.action} | ({"id": item.actor_id} if item.actor_id else {})
        if item.attributes.get("image"):
            document["from"] = item.attributes["image"]
    return document


def wanted(filters: Filters) -> Callable[[Event], bool]:
    """A test that an event passes when it fits one value of each key. Source: moby `daemon/events/filter.go`."""
    tests = [(_TESTS[key], values) for key, values in filters.items() if values]
    return lambda item: all(test(item, values) for test, values in tests)


def _named(kind: str) -> Callable[[Event, list[str]], bool]:
    """Events of objects of this kind whose id or name begins so."""

    def test(item: Event, values: list[str]) -> bool:
        names = (item.actor_id, item.attributes.get("name", ""))
        return item.type == kind and any(name.startswith(value) for name in names for value in values)

    return test


def _is_action(item: Event, values: list[str]) -> bool:
    """`exec_create: ls` is found by `exec_create` too."""
    return item.action in values or item.action.partition(":")[0] in values


def _of_image(item: Event, values: list[str]) -> bool:
    attributes = item.attributes
    name = attributes.get("image", "") if item.type == "container" else attributes.get("name", "")
    names = {name, name.rpartition(":")[0], item.actor_id if item.type == "image" else ""}
    return item.type in ("image", "container") and bool(names & set(values))


def _never(item: Event, values: list[str]) -> bool:
    return False


_TESTS: dict[str, Callable[[Event, list[str]], bool]] = {
    "container": _named("container"),
    "daemon": _named("daemon"),
    "event": _is_action,
    "id": lambda item, values: item.actor_id in values,
    "image": _of_image,
    "label": lambda item, values: matches_labels(item.attributes, values),
    "network": _named("network"),
    "scope": lambda item, values: "local" in values,
    "type": lambda item, values: item.type in values,
    "volume": _named("volume"),
    **dict.fromkeys(("config", "node", "plugin", "secret", "service"), _never),
}
