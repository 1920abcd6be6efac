"""JSON without the `json` module, whose import costs a quarter of a whole container start of `firkin-oci` (it brings `re`).

The interpreter's own scanner and encoder do the work; only their wiring is here. CPython has had both under these names
since 2.6; a test compares them with `json`.
"""

from __future__ import annotations

import _json

from firkin.errors import Invalid


class _Settings:
    """What the scanner asks for, as `json.decoder.JSONDecoder` has it."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> object:
        raise ValueError(f"{name} is not JSON")


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON")


_SPACE = " \t\n\r"
_scan = _json.make_scanner(_Settings)  # type: ignore[arg-type]  # typeshed calls the argument by the result's name
_encode = _json.make_encoder({}, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False)


def loads(data: bytes | str) -> object:
    """The value in `data` (UTF-8); `Invalid` says where it is no JSON."""
    try:
        text = data if isinstance(data, str) else data.decode()
        start = len(text) - len(text.lstrip(_SPACE))
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise Invalid(f"invalid JSON: no value at character {stop.value}") from None
    except RecursionError:
        raise Invalid("invalid JSON: nested too deeply") from None
    except ValueError as error:
        raise Invalid(f"invalid JSON: {error}") from None
    except SystemError:  # the scanner takes its words for an error from json.decoder, and has none while that is not loaded
        __import__("json.decoder")
        return loads(data)
    if rest := text[end:].strip(_SPACE):
        raise Invalid(f"invalid JSON: {rest[:20]!r} after its end")
    return value


def dumps(value: object) -> str:
    """`value` (dicts, lists, tuples, strings, numbers, booleans, None) on one line; TypeError for anything else."""
    return "".join(_encode(value, 0))
