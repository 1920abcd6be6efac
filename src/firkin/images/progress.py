"""What a transfer tells its watcher: one value per step, in the words Docker's clients know.

Source: Docker Engine API, `POST /images/create`: `id`, `status`, `progressDetail`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One line of a transfer. `id` is a layer's short digest, or "" for a line about the whole; bytes where `total` is set."""

    id: str
    status: str
    current: int = 0
    total: int = 0


Watcher = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """A watcher for those who do not care."""
