"""Values to try: real samples with a few bytes changed, documents with a few members changed, text in other people's syntax."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_WORDS = (b"\0", b"\xff", b"-", b"..", b"/", b"%", b"\n", b"\r\n", b'"', b"\\", b"=", b",", b":", b"{", b"[", b"9" * 20, b"9" * 400, b"-1", b"1e999", b"\xc3\x28", "٣".encode())  # fmt: skip
_SCALARS: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, "", "x", "0", "-1", "/", "..", "a=b", "\0", "é", "\ud800", "9" * 5000, [], {}, [None], [[]], {"": None}, {"x": {}})  # fmt: skip

Edit = tuple[str, int, bytes]
_EDIT: st.SearchStrategy[Edit] = st.tuples(
    st.sampled_from(("replace", "insert", "cut", "double", "end")),
    st.integers(0, 1 << 16),
    st.one_of(st.sampled_from(_WORDS), st.binary(min_size=1, max_size=4)),
)


def edits(most: int) -> st.SearchStrategy[list[Edit]]:
    return st.lists(_EDIT, max_size=most)


def edited(sample: bytes, edits: Sequence[Edit]) -> bytes:
    data = bytearray(sample)
    for kind, place, piece in edits:
        at = place % (len(data) + 1)
        if kind == "replace":
            data[at : at + len(piece)] = piece
        elif kind == "insert":
            data[at:at] = piece
        elif kind == "cut":
            del data[at : at + piece[0] + 1]
        elif kind == "double":
            data[at:at] = data[at : at + piece[0] + 1]
        else:
            del data[at:]
    return bytes(data)


def mutated(*samples: bytes, with_junk: bool = True) -> st.SearchStrategy[bytes]:
    """One of `samples` after up to five edits; now and then bytes that never were one."""
    near = st.builds(edited, st.sampled_from(samples), edits(5))
    return st.one_of(near, near, near, st.binary(max_size=200)) if with_junk else near


def mutated_text(*samples: str) -> st.SearchStrategy[str]:
    """The same as text, what is not UTF-8 in surrogates, as Python's own decoding of arguments and headers has it."""
    return mutated(*(sample.encode() for sample in samples)).map(lambda data: data.decode("utf-8", "surrogateescape"))


def clean_text(*samples: str) -> st.SearchStrategy[str]:
    """The same without surrogates."""
    return mutated(*(sample.encode() for sample in samples)).map(lambda data: data.decode("utf-8", "replace"))


# --- documents -----------------------------------------------------------------------------------------------------
_JSON: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(_SCALARS), st.integers(-(2**70), 2**70), st.text(max_size=8), st.lists(st.sampled_from(_SCALARS), max_size=3)
)  # fmt: skip
_CHANGE = st.tuples(st.integers(0, 1 << 16), st.sampled_from(("set", "set", "drop", "wrap", "swap")), _JSON)


def _places(value: Any, trail: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [trail]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in pairs:
        found += _places(member, (*trail, key))
    return found


def _changed(sample: Any, changes: Sequence[tuple[int, str, Any]]) -> Any:
    document = copy.deepcopy(sample)
    for number, kind, value in changes:
        places = _places(document)
        trail = places[number % len(places)]
        if not trail:
            continue
        holder = document
        for key in trail[:-1]:
            holder = holder[key]
        if kind == "set":
            holder[trail[-1]] = copy.deepcopy(value)
        elif kind == "drop":
            del holder[trail[-1]]
        elif kind == "wrap":
            holder[trail[-1]] = [holder[trail[-1]], copy.deepcopy(value)]
        else:
            holder[trail[-1]] = copy.deepcopy(
                document[next(iter(document))] if isinstance(document, dict) and document else value
            )
    return document


def documents(*samples: Any) -> st.SearchStrategy[Any]:
    """One of `samples` (JSON values) with up to four members changed, dropped, wrapped or swapped for others."""
    return st.builds(_changed, st.sampled_from(samples), st.lists(_CHANGE, max_size=4))


def json_bytes(*samples: Any) -> st.SearchStrategy[bytes]:
    """Such documents as JSON, mostly whole, sometimes with bytes changed, sometimes nested beyond reason."""
    whole = documents(*samples).map(_dumped)
    broken = st.builds(edited, whole, edits(3))
    deep = st.builds(_nested, st.integers(1, 100_000), st.sampled_from((b"[", b'{"a":', b'{"a":[')), whole)
    return st.one_of(whole, whole, whole, broken, deep)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _nested(depth: int, opening: bytes, document: bytes) -> bytes:
    """`document` with one more member, nested so deep."""
    inner = opening * depth + b"0"
    return document[:-1] + b',"deep":' + inner if document.endswith(b"}") else inner
