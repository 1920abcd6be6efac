"""A volume as a value, and which volumes a listing's filters choose.

Source: Docker Engine API, Volume and `GET /volumes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from firkin.errors import Invalid

Filters = Mapping[str, Sequence[str]]
_KNOWN = frozenset(("name", "driver", "label", "label!", "dangling"))


@dataclass(frozen=True)
class VolumeRequest:
    """`POST /volumes/create` as a value; no name means an anonymous volume."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Volume:
    """One volume; `mountpoint` is the host directory a container's mount shows, `created` in ns."""

    name: str
    mountpoint: str
    driver: str = "local"
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    created: int = 0


def check_filters(filters: Filters) -> None:
    """Raise `Invalid` for one no volume listing knows."""
    unknown = set(filters) - _KNOWN
    if unknown:
        raise Invalid(f"invalid filter '{min(unknown)}'")


def _boolean(text: str) -> bool:
    if text.lower() not in ("0", "1", "false", "true"):
        raise Invalid(f"invalid filter 'dangling=[{text}]'")
    return text.lower() in ("1", "true")


def passes(volume: Volume, filters: Filters, users: Callable[[str], Iterable[str]]) -> bool:
    """Whether every filter lets it through; `users` tells who refers to a volume, for `dangling`."""
    if "dangling" in filters:
        wanted = {_boolean(value) for value in filters["dangling"]}
        if wanted != {next(iter(users(volume.name)), None) is None}:
            return False
    return (
        _any(filters, "name", lambda text: text in volume.name)
        and _any(filters, "driver", lambda text: text == volume.driver)
        and all(_has_label(volume, text) for text in filters.get("label", ()))
        and not any(_has_label(volume, text) for text in filters.get("label!", ()))
    )


def _any(filters: Filters, key: str, test: Callable[[str], bool]) -> bool:
    return key not in filters or any(map(test, filters[key]))


def _has_label(volume: Volume, text: str) -> bool:
    """`KEY` or `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    return volume.labels.get(key) == value if equals else key in volume.labels
