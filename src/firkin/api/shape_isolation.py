"""What separates a container from its host, as JSON: the values of `isolation_model` with names in Docker's manner."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from firkin.api.names import spell


def shape(value: Any) -> Any:
    """Dataclasses as objects, tuples as arrays; keys that are data stay as they are."""
    if is_dataclass(value):
        return {spell(field.name): shape(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [shape(one) for one in value]
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return value
