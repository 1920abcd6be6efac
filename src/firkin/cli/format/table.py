"""Columns of text, aligned as docker's: at least ten wide, three blanks apart, the last one as long as it is.

Like the elastic tab stops of Go's text/tabwriter, a column is as wide as its cells in *consecutive* rows that have it.
"""

from __future__ import annotations

from firkin.cli.format.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST, PADDING = 10, 3


def display_width(text: str) -> int:
    """Columns on a terminal: wide characters of East Asian scripts take two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def layout(rows: Sequence[Sequence[str]], least: int = LEAST, padding: int = PADDING) -> str:
    """The rows as lines, each ended."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [[0] * len(row) for row in rows]
    for column in range(max((len(row) for row in rows), default=0)):
        start = 0
        while start < len(rows):
            end = start
            while end < len(rows) and column < len(rows[end]) - 1:
                end += 1
            wide = max((display_width(rows[at][column]) for at in range(start, end)), default=0)
            for at in range(start, end):
                widths[at][column] = max(least, wide + padding)
            start = end + 1
    return "".join(_line(row, widths[at]) + "\n" for at, row in enumerate(rows))


def _line(row: Sequence[str], widths: list[int]) -> str:
    return "".join(cell + " " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True))
