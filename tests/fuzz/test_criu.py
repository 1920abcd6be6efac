"""What CRIU answers, or somebody in its place, and the file of streams beside its images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from firkin.errors import Internal, Invalid
from firkin.runtime.oci import criu_outside, criu_wire
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import json_bytes, mutated

NUMBERS = st.integers(-(2**31), 2**31 - 1)
ANSWER = criu_wire.encode(
    criu_wire.RESPONSE,
    {"type": criu_wire.NOTIFY, "success": True, "notify": {"script": "post-restore", "pid": 7}, "cr_errmsg": "no"},
)


@fuzzed(st.one_of(mutated(ANSWER), st.binary(max_size=200)))
@remembered(b"\x08" + b"\xff" * 11)
@remembered(b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
@remembered(b"\x0b")
def test_answers(data: bytes) -> None:
    """Whatever the bytes, they are the fields of an answer, each of its kind, or they are Internal."""
    found = passes(lambda: criu_wire.decode(criu_wire.RESPONSE, data), Internal) or {}
    kinds = {"success": bool, "type": int, "cr_errmsg": str, "notify": dict, "restore": dict, "features": dict}
    assert all(isinstance(value, kinds[name]) for name, value in found.items())
    assert isinstance(found.get("notify", {}).get("pid", 0), int) and isinstance(found.get("notify", {}).get("script", ""), str)


@fuzzed(
    st.fixed_dictionaries(
        {},
        optional={
            "type": NUMBERS,
            "success": st.booleans(),
            "cr_errmsg": st.text(),
            "restore": st.fixed_dictionaries({"pid": NUMBERS}),
            "notify": st.fixed_dictionaries({"script": st.text(), "pid": NUMBERS}),
        },
    )
)
def test_there_and_back(values: dict[str, Any]) -> None:
    """What is written is read the same."""
    assert criu_wire.decode(criu_wire.RESPONSE, criu_wire.encode(criu_wire.RESPONSE, values)) == values


@fuzzed(json_bytes(["pipe:[1]", "file[1:1]", "extRootNetNS", "pipe:[2]"]))
@remembered(b"\xff")
def test_streams(data: bytes) -> None:
    """Whatever the file says, it can only give new meaning to 0, 1 and 2, and to nothing but pipes and files; or it is Invalid."""
    with tempfile.TemporaryDirectory() as images:
        (Path(images) / criu_outside.STREAMS).write_bytes(data)
        found = passes(lambda: criu_outside.read_streams(images), Invalid) or []
    assert all(fd in (0, 1, 2) and name.startswith(("pipe:[", "file[")) for fd, name in found)
