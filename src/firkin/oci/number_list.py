"""Lists of small numbers as the kernel writes them ("0-3,7"): processors and memory nodes.

Source: cpuset(7) "List format"; runtime-spec config.md, execCPUAffinity.
"""

from __future__ import annotations

from firkin.errors import Invalid

_MOST = 8192  # processors, as of Linux 6


def parse(text: str, where: str) -> list[int]:
    """The numbers, in order and each once; `where` names the field in messages. Raises `Invalid`."""
    numbers: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        low, high = _number(first, where, text), _number(last if dash else first, where, text)
        if low > high:
            raise Invalid(f"{where}: {part!r} ends before it begins")
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def _number(text: str, where: str, whole: str) -> int:
    stripped = text.strip()
    if not (stripped.isascii() and stripped.isdecimal()) or int(stripped) >= _MOST:
        raise Invalid(f"{where}: want numbers and ranges such as 0-3,7, got {whole!r}")
    return int(stripped)
