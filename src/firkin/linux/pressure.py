"""Pressure stall information: for how long processes of a group had to wait for a processor, for memory, for the disk.

Source: Linux Documentation/accounting/psi.rst.
"""

from __future__ import annotations

KINDS = ("cpu", "memory", "io")


def parse(text: str) -> dict[str, dict[str, float]]:
    """Lines of `some avg10=0.12 avg60=0.00 avg300=0.00 total=4711`: "some" and "full" -> averages in per cent over so many
    seconds, and `total` in microseconds. Empty for an empty text."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        word, *pairs = line.split()
        values = (pair.split("=", 1) for pair in pairs if "=" in pair)
        found[word] = {key: int(value) if key == "total" else float(value) for key, value in values}
    return found
