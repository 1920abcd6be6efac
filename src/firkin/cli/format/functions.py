"""The functions a `--format` template may call: Go's own and those docker adds, and how Go prints and judges values."""

from __future__ import annotations

from typing import Any

from firkin.cli import jsontext

_WIDEST = 10_000  # characters to pad with


def show(value: Any) -> str:
    """A value as Go's `%v` prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) >= 1e21 or value != int(value) else str(int(value))
    if isinstance(value, list):
        return "[" + " ".join(_inner(each) for each in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_inner(each)}" for key, each in sorted(value.items())) + "]"
    return str(value)


def _inner(value: Any) -> str:
    return "<nil>" if value is None else show(value)


def truth(value: Any) -> bool:
    """Go's: empty and zero are false."""
    return bool(value)


def to_json(value: Any) -> str:
    """JSON as docker prints it: a listing's row with sorted keys and `<>&` escaped, anything else as it is."""
    if not hasattr(value, "field"):
        return jsontext.dumps(value)
    text = jsontext.dumps(value.values(), sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def index(value: Any, *keys: Any) -> Any:
    """`index .Map "key"`: null for a missing key, an error beyond a list's end."""
    for key in keys:
        if value is not None:
            value = value[key] if isinstance(value, list) else value.get(key)
    return value


def pad(text: str, before: int, after: int) -> str:
    return " " * min(before, _WIDEST) + text + " " * min(after, _WIDEST) if text else text


def printf(form: str, *values: Any) -> str:
    import re

    remaining = list(values)

    def convert(match: re.Match[str]) -> str:
        verb = match[2]
        if verb == "%":
            return "%"
        value = remaining.pop(0)
        if verb == "q":
            return jsontext.dumps(value)
        return f"%{match[1]}s" % show(value) if verb in "vs" else f"%{match[1]}{verb}" % value

    return re.sub(r"%([-+ #0]*\d{0,4}(?:\.\d{1,4})?)([a-zA-Z%])", convert, form)


def _first_true(*values: Any) -> Any:
    return next((value for value in values if truth(value)), values[-1])


def _first_false(*values: Any) -> Any:
    return next((value for value in values if not truth(value)), values[-1])


def _slice(value: Any, start: int = 0, end: int | None = None) -> Any:
    return value[start:end]


FUNCTIONS: dict[str, Any] = {
    "and": _first_false,
    "eq": lambda first, *others: any(first == other for other in others),
    "ge": lambda first, second: first >= second,
    "gt": lambda first, second: first > second,
    "index": index,
    "join": lambda parts, separator: separator.join(show(part) for part in parts or []),
    "json": to_json,
    "le": lambda first, second: first <= second,
    "len": len,
    "lower": str.lower,
    "lt": lambda first, second: first < second,
    "ne": lambda first, second: first != second,
    "not": lambda value: not truth(value),
    "or": _first_true,
    "pad": pad,
    "print": lambda *values: "".join(map(show, values)),
    "printf": printf,
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "slice": _slice,
    "split": lambda text, separator: text.split(separator),
    "title": str.title,
    "truncate": lambda text, length: text[:length],
    "upper": str.upper,
}
