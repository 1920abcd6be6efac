"""What a person types: words, the values of flags, templates, keys."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from firkin.cli import jsontext, kinds, names
from firkin.cli.errors import Failure
from firkin.cli.flags import parse
from firkin.cli.format import units
from firkin.cli.format.evaluate import render
from firkin.cli.format.template import Template
from firkin.cli.request import body, devices, mounts, ports
from firkin.cli.request.flags import CONTAINER_FLAGS
from firkin.cli.terminal import DetachKeys, parse_keys
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import documents, mutated_text


# --- what a person types -------------------------------------------------------------------------------------------
@fuzzed(
    st.sampled_from(sorted(kinds.KINDS)),
    mutated_text("1.5GiB", "-1", "1h30m5s", "0x10", "true", "nofile=1:2", "a=b", "1.5", "64k", "500ms"),
)
@remembered("bytes", "1e999")
@remembered("bytes", "9" * 400)
@remembered("duration", "9" * 400 + "h")
@remembered("duration", "1..1s")
@remembered("decimal", "9" * 5000)
@remembered("uint16", "9" * 5000)
def test_values(kind: str, text: str) -> None:
    """Whatever the value of a flag, it is one of the flag's kind or a ValueError, which is told with the flag's name."""
    passes(partial(kinds.KINDS[kind].convert, text), ValueError)


@fuzzed(mutated_text("8080:80", "127.0.0.1:80-90:80-90/udp", "[::1]::80", "target=80,published=1,protocol=sctp", "80"))
@remembered("mode=target=")
@remembered("1:" + "9" * 5000)
def test_published(text: str) -> None:
    """Whatever `--publish` and `--expose` say, they are ports of this world, or a Failure."""
    for port, binding in passes(lambda: list(ports.published(text)), Failure) or ():
        number, _, protocol = port.partition("/")
        assert 0 <= int(number) < 65536 and protocol in ports.PROTOCOLS and set(binding) == {"HostIp", "HostPort"}
    passes(lambda: ports._exposed(text), Failure)


@fuzzed(
    mutated_text(
        "type=bind,source=/a,target=/b,readonly",
        '"type=volume","target=/a,b"',
        "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777",
        "volume-opt=o=a,dst=/x",
    )
)
@remembered('"\n"')
@remembered('type=tmpfs,target="' + "x" * 200_000)
@remembered("type=tmpfs,target=/t,tmpfs-size=1e999")
def test_mount_option(text: str) -> None:
    """Whatever `--mount` says, it is a mount with a target, or a Failure."""
    found = passes(lambda: mounts.mount(text), Failure)
    assert found is None or found["Target"]


@fuzzed(mutated_text("/dev/fuse:/dev/x:rw", "/dev/sda:1mb", "/dev/a"))
@remembered("/dev/a:1e999")
def test_device_options(text: str) -> None:
    """Whatever device is asked for, it is understood or a Failure."""
    passes(lambda: devices._device(text), Failure)
    passes(lambda: devices._throttle(text, "Rate", kinds.size), Failure)
    passes(lambda: devices._gpus(text), Failure)


@fuzzed(
    st.lists(
        mutated_text(
            "-it",
            "--rm",
            "-m",
            "64m",
            "-p80:80",
            "--name=x",
            "-v",
            "/a:/b",
            "--",
            "image",
            "-e",
            "A=1",
            "--ulimit",
            "nofile=1",
            "--health-interval=1s",
            "--restart",
            "always",
        ),
        max_size=6,
    )
)
def test_words(words: list[str]) -> None:
    """Whatever words follow `run`, they are a request as JSON, or a Failure."""
    found = passes(lambda: parse(CONTAINER_FLAGS, words, False), Failure)
    if found:
        options, arguments = found
        assert all(word in words for word in arguments)
        options.pop("env-file", None), options.pop("label-file", None)
        made = passes(lambda: body.build(options, "image", arguments[1:], body.attached_streams(options)), Failure)
        assert made is None or jsontext.loads(jsontext.dumps(made)) == made


DOCUMENT = {"Id": "x", "State": {"Pid": 3}, "List": [1, {"a": "b"}], "Text": "t", "Map": {"k": "v"}}
TEMPLATES = ("{{.Id}} {{json .State}}", "{{range $k, $v := .Map}}{{$k}}={{$v}}{{else}}-{{end}}", '{{if eq .Text "t"}}{{upper .Id}}{{else if .X}}y{{end}}', "{{with .State}}{{.Pid | printf \"%05d\"}}{{end}}", "{{- /* c */ -}}{{index .List 0}}{{join .List \",\"}}{{len .Map}}", "{{(index .List 1).a}}{{slice .Text 0 1}}{{truncate .Text 2}}{{pad .Text 1 1}}{{println .Map}}")  # fmt: skip


@fuzzed(mutated_text(*TEMPLATES), documents(DOCUMENT))
@remembered("{{" + "(" * 5000, DOCUMENT)
@remembered('{{printf "%99999999999d" 1}}', DOCUMENT)
@remembered("{{pad .Text 99999999999 1}}", DOCUMENT)
@remembered("{{" + "9" * 5000 + "}}", DOCUMENT)
def test_templates(text: str, document: Any) -> None:
    """Whatever `--format` says, it is filled in or a Failure."""
    template = passes(lambda: Template(text), Failure)
    if template:
        assert isinstance(passes(lambda: render(template, document), Failure), str | None)


@fuzzed(mutated_text("ctrl-p,ctrl-q", "a", "ctrl-[,x", ""), st.lists(st.binary(max_size=6), max_size=4))
@remembered("\udcff", [b"a"])
def test_detach_keys(text: str, typed: list[bytes]) -> None:
    """Whatever the keys, they are understood or a Failure; whatever is typed, all but the keys themselves is passed on, in
    order."""
    keys = passes(lambda: parse_keys(text), Failure)
    if not keys:
        return
    watch, passed, detached = DetachKeys(keys), b"", False
    for piece in typed:
        if not detached:
            more, detached = watch.feed(piece)
            passed += more
    whole = b"".join(typed)
    assert whole.startswith(passed[: len(whole)]) and (not detached or keys in whole)


@fuzzed(
    mutated_text("a/b:c@sha256:0", "localhost:5000/x", "docker.io/library/a"),
    mutated_text("10m", "2020-01-02T03:04:05Z", "1.5", "2020-01-02"),
)
def test_names_and_times(name: str, text: str) -> None:
    """Whatever the reference, it has four parts; whatever the time, it is one or a Failure."""
    assert len(names.split(name)) == 4
    passes(lambda: units.query_time(text), Failure)
