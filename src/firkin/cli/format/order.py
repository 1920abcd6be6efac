"""Natural order: `v2` before `v10`."""

from __future__ import annotations

from itertools import groupby


def natural(text: str) -> list[tuple[int, str]]:
    """A sort key in which a run of digits counts as the number it spells, before any letter."""
    parts = ("".join(run) for _, run in groupby(text, str.isdecimal))
    return [(int(part), "") if part.isdecimal() else (1 << 63, part) for part in parts]
