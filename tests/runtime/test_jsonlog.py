"""The json-file format, against Python's own JSON and against what dockerd is known to write."""

from __future__ import annotations

import json
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from firkin.runtime.jsonlog import PARTIAL, encode, split, timestamp

WHEN = 1_700_000_000_120_000_000


def logged(data: bytes) -> list[str]:
    pieces, rest = split(data, last=True)
    assert rest == b""
    return [json.loads(line)["log"] for line in encode(pieces, "stdout", WHEN).splitlines()]


def test_an_entry_is_dockerd_s_to_the_byte() -> None:
    pieces, rest = split(b'a "quoted" <b> & \\ \t\r\x1b[0m\x7f \xe2\x80\xa8 \xc3\xa9\nnext', last=False)
    assert rest == b"next"
    assert encode(pieces, "stderr", WHEN) == (
        b'{"log":"a \\"quoted\\" \\u003cb\\u003e \\u0026 \\\\ \\u0009\\r\\u001b[0m\x7f \\u2028 \xc3\xa9\\n",'
        b'"stream":"stderr","time":"2023-11-14T22:13:20.12Z"}\n'
    )


def test_each_byte_that_is_not_utf8_is_one_replacement() -> None:
    assert logged(b"a\xff\xfeb\xe2\x82\n\xed\xa0\x80\n\xef\xbf\xbd\n") == [
        "a\ufffd\ufffdb\ufffd\ufffd\n",
        "\ufffd" * 3 + "\n",
        "\ufffd\n",
    ]


def test_long_lines_are_cut_as_dockerd_cuts_them() -> None:
    fits, exact, longer = b"x" * (PARTIAL - 1) + b"\n", b"y" * PARTIAL + b"\n", b"z" * (2 * PARTIAL + 5) + b"\n"
    lengths = [len(entry) for entry in logged(b"short\n" + fits + exact + longer + b"end")]
    assert lengths == [6, PARTIAL, PARTIAL, 1, PARTIAL, PARTIAL, 6, 3]


def test_a_cut_never_parts_a_character() -> None:
    text = "a" + "é" * PARTIAL + "\n"
    entries = logged(text.encode())
    assert "".join(entries) == text
    assert len(entries) == 3


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"\n\n", b"w" * 9000, "é€😀".encode() * 1500]), max_size=30))
def test_however_it_arrives_the_log_is_the_same(parts: list[bytes]) -> None:
    """Cut into batches anywhere, every line is one entry, and nothing is lost."""
    entries, held = [], b""
    for part in parts:
        pieces, held = split(held + part, last=False)
        assert len(held) < PARTIAL
        entries += pieces
    entries += split(held, last=True)[0]
    assert b"".join(entries) == b"".join(parts)
    assert b"".join(encode([e], "stdout", WHEN) for e in entries) == encode(
        split(b"".join(parts), last=True)[0], "stdout", WHEN
    )


@given(st.binary(max_size=200))
def test_the_text_comes_back(data: bytes) -> None:
    expected = data.decode(errors="surrogateescape")
    expected = "".join("\ufffd" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in expected)
    assert "".join(logged(data)) == expected


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_time_is_rfc3339nano(when: int) -> None:
    text = timestamp(when).decode()
    moment, _, fraction = text.removesuffix("Z").partition(".")
    assert not fraction.endswith("0")
    seconds = int(datetime.fromisoformat(moment + "+00:00").timestamp())
    assert seconds * 10**9 + int(fraction.ljust(9, "0") or 0) == when
