"""Text that came from elsewhere, made fit for a terminal: labels, commands and file names are chosen by images and
containers, and a terminal obeys what it is sent (title, colours, cursor, even input).
"""

from __future__ import annotations


def visible(text: str, keep: str = "") -> str:
    """`text` with every character that would not show, but those in `keep`, spelt as in `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _spelt(char) for char in text)


def _spelt(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()
