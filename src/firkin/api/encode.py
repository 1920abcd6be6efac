"""From the engine's dataclasses to Docker's CamelCase JSON: the other direction of `decode`, by the same tables."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, cast, get_args, get_type_hints

from firkin.api import names


@dataclass(frozen=True)
class Member:
    """How one field is written."""

    attribute: str
    place: tuple[str, ...]
    is_set: bool
    omit: Callable[[Any], bool]
    null: bool


def encode(value: Any) -> dict[str, Any]:
    """The JSON object for a dataclass of `model` that `names` knows."""
    document: dict[str, Any] = {}
    for member in _members(cast(Hashable, type(value))):
        content = getattr(value, member.attribute)
        if member.omit(content):
            continue
        if not member.place:
            document.update(encode(content))
        elif member.is_set and content:
            _put(document, member.place, dict.fromkeys(content, _EMPTY))
        else:
            _put(document, member.place, None if member.null and not content else _plain(content))
    return document


_EMPTY: dict[str, Any] = {}


def _plain(content: Any) -> Any:
    if isinstance(content, tuple):
        return [_plain(item) for item in content]
    if isinstance(content, dict):
        return {key: _plain(item) for key, item in content.items()}
    return encode(content) if is_dataclass(content) else content


def _put(document: dict[str, Any], place: tuple[str, ...], content: Any) -> None:
    for name in place[:-1]:
        document = document.setdefault(name, {})
    document[place[-1]] = content


@functools.cache
def _members(cls: Any) -> tuple[Member, ...]:
    hints = get_type_hints(cls)
    return tuple(
        Member(
            field.name,
            names.place(cls, field.name),
            (cls, field.name) in names.SETS,
            _omission(cls, field.name, hints[field.name]),
            field.name in names.NULLED.get(cls, ()),
        )
        for field in fields(cls)
    )


def _omission(cls: type, name: str, hint: Any) -> Callable[[Any], bool]:
    """When a field is left out: never, when it is None (an optional field's other values all say something), when empty."""
    if name not in names.OMITTED.get(cls, ()):
        return lambda content: False
    if NoneType in get_args(hint):
        return lambda content: content is None
    return lambda content: not content
