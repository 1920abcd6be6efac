"""JSON without the `json` package, whose import costs as much as starting Python.

The package's own C scanner and encoder do the work; only the thin Python layer around them (and the `re` module it
needs) is left out. Spec: RFC 8259. `indent` lays a text out without decoding it, so that the order of keys, the form
of numbers and every escape stay as the daemon sent them.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SPACE = " \t\r\n"
_STRUCTURE = "{}[],:"
_DEEPEST = 1000
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}  # those that JSON lets stand as they are


class _Rules:
    """What the C scanner asks its context for: strict strings, plain dicts, Python's numbers."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012 (the scanner's own cache of keys)

    @staticmethod
    def parse_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")


_scan = make_scanner(_Rules)  # type: ignore[arg-type]  # any object with these attributes does


def loads(text: str) -> Any:
    """Decode one JSON document. Raises `ValueError` when it is not one."""
    try:
        return _scan(text, _skip_space(text, 0))[0]
    except (StopIteration, RecursionError):
        raise ValueError("not JSON: " + text[:80]) from None


def documents(text: str) -> Iterator[Any]:
    """Decode the JSON documents that follow each other in `text`."""
    position = _skip_space(text, 0)
    while position < len(text):
        try:
            value, position = _scan(text, position)
        except (StopIteration, RecursionError):
            raise ValueError("not JSON: " + text[position : position + 80]) from None
        position = _skip_space(text, position)
        yield value


def dumps(value: Any, sort_keys: bool = False) -> str:
    """Encode without white space, text beyond ASCII as it is, control characters excepted."""
    encode = make_encoder(None, _refuse, encode_basestring, None, ":", ",", sort_keys, False, False)
    return "".join(encode(value, 0)).translate(_CONTROLS)


def _refuse(value: object) -> Any:
    raise TypeError(f"not JSON: {value!r}")


def indent(text: str, step: str = "    ") -> str:
    """Lay out a JSON text over lines, changing nothing but white space (Go's `json.Indent`), and control characters that a
    terminal would obey. Raises `ValueError` when it is nested too deeply."""
    out: list[str] = []
    depth = 0
    opened = False  # the last token opened an array or object: an empty one stays on its line
    for token in _tokens(text):
        closing = token in "]}"
        depth -= closing
        if (opened and not closing) or (closing and not opened):
            out.append("\n" + step * depth)
        opened = token in "[{"
        depth += opened
        if depth > _DEEPEST:
            raise ValueError("JSON nested too deeply")
        out.append({",": ",\n" + step * depth, ":": ": "}.get(token, token))
    return "".join(out).translate(_CONTROLS)


def _tokens(text: str) -> Iterator[str]:
    """Strings, structural characters and scalars in order, white space left out."""
    position = _skip_space(text, 0)
    while position < len(text):
        end = position + 1
        if text[position] == '"':
            end = _string_end(text, end)
        elif text[position] not in _STRUCTURE:
            while end < len(text) and text[end] not in _STRUCTURE and text[end] not in _SPACE:
                end += 1
        yield text[position:end]
        position = _skip_space(text, end)


def _string_end(text: str, position: int) -> int:
    """The index after the closing quote of the string whose first character is at `position`."""
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position + 1


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
