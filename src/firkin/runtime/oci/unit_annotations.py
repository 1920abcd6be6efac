"""Annotations `org.systemd.property.NAME`: what a configuration wants systemd to know of its unit, in GVariant's text format.

Of the format, what properties are made of: booleans, numbers, strings and arrays of these, with the words that say a type.
Source: runc docs/systemd.md; GLib "GVariant Text Format".
"""

from __future__ import annotations

from firkin.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.linux.systemd import Property

PREFIX = "org.systemd.property."
_TYPES = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
    "signature": "g",
}
_RANGES = {"y": (0, 8), "n": (15, 15), "q": (0, 16), "i": (31, 31), "u": (0, 32), "x": (63, 63), "t": (0, 64)}
_BOOLEANS = {"true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_SHORTEST_NAME = 3


def properties(annotations: dict[str, str]) -> list[Property]:
    """Raises `Invalid` naming the annotation."""
    found: list[Property] = []
    for key, text in annotations.items():
        if key.startswith(PREFIX):
            name = key.removeprefix(PREFIX)
            try:
                if not (name.isascii() and name.isalpha() and len(name) >= _SHORTEST_NAME):
                    raise ValueError(f"{name!r} is no name of a property")
                found.append(_in_microseconds(name, *_value(text.strip())))
            except ValueError as error:
                raise Invalid(f"annotations[{key}]: {error}") from None
    return found


def _in_microseconds(name: str, kind: str, value: object) -> Property:
    """Times are documented by names in Sec, and known by names in USec."""
    stem = name.removesuffix("Sec")
    if stem == name or not stem[-1:].islower():
        return name, (kind, value)
    if not isinstance(value, (int, float)) or kind == "b":
        raise ValueError("a time in seconds is a number")
    return stem + "USec", ("t", _within("t", int(value * 1_000_000)))


def _value(text: str) -> tuple[str, object]:
    """(signature, value)"""
    word, _, rest = text.partition(" ")
    if text.startswith("@"):
        return _typed(word[1:], rest.strip())
    if word in _TYPES:
        return _typed(_TYPES[word], rest.strip())
    if text in _BOOLEANS:
        return "b", _BOOLEANS[text]
    if text[:1] in ("'", '"'):
        return "s", _string(text)
    if text[:1] == "[":
        items = [_value(item) for item in _items(text)]
        if not items or any(kind != items[0][0] for kind, _ in items):
            raise ValueError(f"{text}: an array is of one type, and without elements that must be said")
        return "a" + items[0][0], [value for _, value in items]
    return _typed("d" if "." in text else "i", text)


def _typed(kind: str, text: str) -> tuple[str, object]:
    if kind in _RANGES:
        return kind, _within(kind, int(_numeral(text), 0))
    if kind == "d":
        return kind, float(_numeral(text))
    if kind == "b" and text in _BOOLEANS:
        return kind, _BOOLEANS[text]
    if kind in ("s", "o", "g"):
        return kind, _string(text)
    if kind[:1] == "a" and text[:1] == "[":
        return kind, [_typed(kind[1:], item)[1] for item in _items(text)]
    raise ValueError(f"{text} is not understood as of type {kind}")


def _numeral(text: str) -> str:
    if not text.lstrip("+-")[:1].isdecimal() or "_" in text:
        raise ValueError(f"{text} is not understood")
    return text


def _within(kind: str, number: int) -> int:
    below, above = _RANGES[kind]
    if not -(1 << below) * (below > 0) <= number < 1 << above:
        raise ValueError(f"{number} is too large")
    return number


def _string(text: str) -> str:
    quote = text[:1]
    if len(text) < 2 or quote not in ("'", '"') or _closed(text, 0) != len(text):
        raise ValueError(f"{text} is no string in quotes")
    out, escaped = "", False
    for letter in text[1:-1]:
        if escaped or letter != "\\":
            out, escaped = out + (_ESCAPES.get(letter, letter) if escaped else letter), False
        else:
            escaped = True
    return out


def _closed(text: str, start: int) -> int:
    """The place after the quote that closes the one at `start`."""
    at = start + 1
    while at < len(text):
        if text[at] == text[start]:
            return at + 1
        at += 2 if text[at] == "\\" else 1
    raise ValueError(f"{text[start:]}: the quote is not closed")


def _items(text: str) -> list[str]:
    """Of an array that has no arrays in it."""
    if not text.endswith("]"):
        raise ValueError(f"{text}: the array is not closed")
    items, start, at = [], 1, 1
    while at < len(text) - 1:
        if text[at] in "'\"":
            at = _closed(text, at)
        elif text[at] == ",":
            items.append(text[start:at].strip())
            start = at = at + 1
        else:
            at += 1
    last = text[start:-1].strip()
    return [*items, last] if last else items
