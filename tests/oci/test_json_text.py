"""Our JSON is `json`'s, and anything else is refused with `Invalid`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import Invalid
from firkin.oci import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def _no_constant(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity, which `json` takes and JSON has not


@given(VALUES)
def test_it_reads_and_writes_what_json_does(value: object) -> None:
    assert json.loads(json_text.dumps(value)) == value
    assert json_text.loads(json.dumps(value, indent=1)) == value
    assert json_text.loads((" \n" + json.dumps(value, ensure_ascii=False) + "\t").encode("utf-8", "surrogatepass")) == value


@given(st.text() | st.binary())
def test_it_refuses_what_json_refuses(data: str | bytes) -> None:
    try:
        wanted = json.loads(data if isinstance(data, str) else data.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        with pytest.raises(Invalid):
            json_text.loads(data)
    else:
        assert json_text.loads(data) == wanted


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{}{}", "", "\ufeff{}", '"\n"', "[1,]", "[" * 1_000_000, '"\ud800'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="invalid JSON"):
        json_text.loads(text)
