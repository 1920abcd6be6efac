"""The `filters` parameter in its two JSON spellings. Which keys a listing knows is said here only where no service says it.

Source: moby `api/types/filters/parse.go`.
"""

from __future__ import annotations

from typing import Any

from firkin.errors import Invalid
from firkin.images.times import parse_moment
from firkin.oci import foreign_json

Filters = dict[str, list[str]]

CONTAINER_PRUNE = frozenset(("label", "label!", "until"))
EVENTS = frozenset(("container", "daemon", "event", "id", "image", "label", "network", "scope", "type", "volume"))
EVENTS |= {"config", "node", "plugin", "secret", "service"}  # known words that fit no event here


def parse_filters(text: str, accepted: frozenset[str] | None) -> Filters:
    """`{"status": {"running": true}}` or `{"status": ["running"]}` -> {"status": ["running"]}; raises `Invalid`."""
    if not text:
        return {}
    try:
        document = foreign_json.loads(text)
    except ValueError as error:
        raise Invalid(f"invalid filter: {error}")
    if not isinstance(document, dict):
        raise Invalid("invalid filter: want a JSON object")
    parsed = {key: _values(values) for key, values in document.items()}
    for key in parsed:
        if accepted is not None and key not in accepted:
            raise Invalid(f"invalid filter '{key}'")
    return parsed


def _values(values: Any) -> list[str]:
    if isinstance(values, dict):
        values = [value for value, wanted in values.items() if wanted]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Invalid("invalid filter: want an object or a list of strings for each key")
    return values


def parse_flag(filters: Filters, key: str, default: bool) -> bool:
    """A filter that is true or false; raises `Invalid` as dockerd does for anything else or for both at once."""
    values = {value.lower() for value in filters.get(key, ())}
    if not values:
        return default
    if values <= {"1", "true"}:
        return True
    if values <= {"0", "false"}:
        return False
    raise Invalid(f"invalid filter '{key}={sorted(values)}'")


def parse_until(filters: Filters) -> int:
    """The `until` filter of a prune, ns; 0 without one. A unix time, or a duration before now such as `24h`."""
    values = filters.get("until", [])
    if len(values) > 1:
        raise Invalid("more than one until filter specified")
    if not values:
        return 0
    return parse_moment(values[0])
