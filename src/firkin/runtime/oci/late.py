"""Modules that only some runs need, imported when they do: a terminal's, an error's words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def module(name: str) -> Any:
    """`firkin.runtime.NAME`."""
    return __import__(f"firkin.runtime.{name}", fromlist=["_"])
