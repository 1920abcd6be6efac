"""Sizes, ages, tables, JSON and templates, where docker's client cannot be made to show every case."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.cli import jsontext
from firkin.cli.errors import Failure
from firkin.cli.format import table, units
from firkin.cli.format.containers import ports
from firkin.cli.format.evaluate import render
from firkin.cli.format.order import natural
from firkin.cli.format.template import Template
from firkin.cli.stream import Frames
from firkin.cli.terminal import DetachKeys, parse_keys

DAY = 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "Less than a second"), (1, "1 second"), (59.9, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"),
        (47 * 3600, "47 hours"), (2 * DAY, "2 days"), (13 * DAY, "13 days"), (14 * DAY, "2 weeks"), (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"), (729 * DAY, "24 months"), (730 * DAY, "2 years"),
    ],
)  # fmt: skip
def test_ages(seconds: float, words: str) -> None:
    assert units.duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1984320, "1.984MB"), (123456789012, "123.5GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert units.size(count) == text


def test_binary_sizes_and_fewer_digits() -> None:
    assert (units.binary_size(25276502016), units.size(1984320, 3)) == ("23.54GiB", "1.98MB")


def test_a_column_is_as_wide_as_its_neighbours_need() -> None:
    assert table.layout([["A", "B"], ["a-long-one-here", "x"], ["", "y"]]) == (
        "A                 B\na-long-one-here   x\n                  y\n"
    )
    assert table.layout([["日本", "x"]], least=1, padding=1) == "日本 x\n"


def test_neighbouring_ports_become_ranges() -> None:
    published = [{"PrivatePort": n, "PublicPort": n, "IP": "0.0.0.0", "Type": "tcp"} for n in (80, 81, 82, 90)]
    other = [{"PrivatePort": 53, "Type": "udp"}, {"PrivatePort": 22, "PublicPort": 2222, "IP": "::", "Type": "tcp"}]
    wanted = "0.0.0.0:80-82->80-82/tcp, 53/udp, 0.0.0.0:90->90/tcp, [::]:2222->22/tcp"
    assert ports(published + other) == wanted


def test_natural_order() -> None:
    assert sorted(["v10", "v2", "376a", "v", "3326"], key=natural) == ["376a", "3326", "v", "v2", "v10"]


VALUE = {"Name": "n", "List": [1, "b", None], "Map": {"k": "v", "a.b": 2}, "Zero": 0, "Yes": True, "Nested": {"Deep": {"X": 5}}}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}-{{ .Nested.Deep.X }}", "n-5"),
        ("{{.List}} {{.Map}} {{.Yes}}", "[1 b <nil>] map[a.b:2 k:v] true"),
        ('{{index .Map "a.b"}}{{index .Map "none"}}', "2<no value>"),
        ("a  {{- .Name -}}  b", "anb"),
        ("{{/* nothing */}}x", "x"),
        ("{{if .Zero}}a{{else if .Yes}}b{{else}}c{{end}}", "b"),
        ("{{range .List}}<{{.}}>{{else}}none{{end}}", "<1><b><<no value>>"),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}", "a.b=2;k=v;"),
        ("{{with .Nested}}{{.Deep.X}}{{$.Name}}{{end}}", "5n"),
        ("{{$x := .Name}}{{$x}}{{$x | upper | printf \"%s!\"}}", "nN!"),
        ("{{(index .List 0)}}{{(.Nested.Deep).X}}", "15"),
        ("{{if and .Yes (or .Zero (gt 3 2)) (not .Zero)}}y{{end}}", "y"),
        ("{{eq .Name \"a\" \"n\"}} {{ne 1 2}} {{len .List}}", "true true 3"),
        ("{{json .List}} {{json .Name}}", '[1,"b",null] "n"'),
        ("{{join (split \"a,b\" \",\") \"-\"}}{{pad .Name 1 2}}|{{truncate \"long\" 2}}", "a-b n  |lo"),
        ("{{print 1 \"x\"}}{{printf \"%5.2f|%-4s|%03d|%q\" 1.5 \"ab\" 7 \"q\"}}", '1x 1.50|ab  |007|"q"'),
    ],
)  # fmt: skip
def test_templates(template: str, text: str) -> None:
    assert render(Template(template), VALUE) == text


BAD = ["{{.Name", "{{end}}", "{{if .Name}}", "{{}}", "{{.None}}", "{{nonsense .}}", "{{(.Name}}", '{{"x}}']


@pytest.mark.parametrize("template", BAD)
def test_bad_templates_are_named_as_such(template: str) -> None:
    with pytest.raises(Failure, match="template parsing error: "):
        render(Template(template), VALUE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(json_values)
def test_json_is_json(value: object) -> None:
    text = jsontext.dumps(value)
    assert json.loads(text) == jsontext.loads(" " + text + "\n") == value
    controls = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}  # a terminal would obey them
    assert jsontext.indent(text) == json.dumps(value, indent=4, ensure_ascii=False).translate(controls)
    assert list(jsontext.documents(f"{text}\n{text}")) == [value, value]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40))), st.integers(1, 9))
def test_frames_come_apart_however_they_arrive(frames: list[tuple[int, bytes]], step: int) -> None:
    wire = b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4) + data for stream, data in frames)
    reader, got = Frames(), {1: b"", 2: b""}
    for start in range(0, len(wire), step):
        for stream, piece in reader.feed(wire[start : start + step]):
            got[stream] += piece
    assert got == {n: b"".join(data for stream, data in frames if stream == n) for n in (1, 2)}


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        ([b"ab"], b"ab", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
    ],
)
def test_detach_keys(typed: list[bytes], passed: bytes, detached: bool) -> None:
    keys, got, done = DetachKeys(parse_keys("ctrl-p,ctrl-q")), b"", False
    for each in typed:
        piece, done = keys.feed(each)
        got += piece
    assert (got, done) == (passed, detached)
