"""What commands print: JSON as runc indents it, and tables."""

from __future__ import annotations

import sys

from firkin.oci import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def json(value: object) -> None:
    sys.stdout.write(indented(value, "  ") + "\n")


def line(value: object) -> None:
    sys.stdout.write(json_text.dumps(value) + "\n")
    sys.stdout.flush()


def indented(value: object, step: str, margin: str = "\n") -> str:
    """JSON, one member a line. (The interpreter's own encoder, without the `json` module around it, does not indent.)"""
    deeper = margin + step
    if isinstance(value, dict) and value:
        rows = [f"{json_text.dumps(key)}: {indented(one, step, deeper)}" for key, one in value.items()]
        return "{" + deeper + ("," + deeper).join(rows) + margin + "}"
    if isinstance(value, (list, tuple)) and value:
        return "[" + deeper + ("," + deeper).join(indented(one, step, deeper) for one in value) + margin + "]"
    return json_text.dumps(value)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest entry and three spaces, twelve at least, as Go's tabwriter makes them."""
    widths = [max(12, *(len(row[column]) + 3 for row in rows)) for column in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
