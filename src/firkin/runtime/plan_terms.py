"""The words of a plan: what a step is, and what a root made of layers is. For annotations only: nothing here at run time."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol

    Step = tuple[Any, ...]  # (operation, *arguments); marshal can carry it
    Plan = dict[str, Any]

    class Overlay(Protocol):
        """A root made of layers, `lowers` top first; `upper` and `work` are directories of one file system."""

        @property
        def lowers(self) -> Sequence[str]: ...
        @property
        def upper(self) -> str: ...
        @property
        def work(self) -> str: ...
        @property
        def options(self) -> Sequence[str]: ...
