"""The engine's pure decisions: merging, states, restart policies, detach keys, binds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.engine import restart
from firkin.engine.detach import KeyScanner, parse_keys
from firkin.engine.merge import command_line, merge
from firkin.engine.mounts import parse_bind
from firkin.engine.states import require
from firkin.errors import Conflict, Invalid, NotModified
from firkin.model import Container, ContainerConfig, HostConfig, RestartPolicy, State
from firkin.oci.image import RunConfig

IMAGE = RunConfig(
    user="app",
    env=("PATH=/bin", "A=image"),
    entrypoint=("/entry",),
    cmd=("serve",),
    working_dir="/srv",
    labels={"a": "1", "b": "1"},
)


def test_the_client_wins_and_collections_unite() -> None:
    merged = merge(IMAGE, ContainerConfig(env=("A=client", "B=2", "PATH"), labels={"b": "2"}, user="root"))
    assert merged.env == ("A=client", "B=2", "PATH") and merged.labels == {"a": "1", "b": "2"}
    assert (merged.user, merged.working_dir) == ("root", "/srv")


@pytest.mark.parametrize(("entrypoint", "cmd", "line"), [
    (None, None, ("/entry", ("serve",))),
    (None, ("x", "y"), ("/entry", ("x", "y"))),
    (("/mine",), None, ("/mine", ())),
    (("/mine",), ("x",), ("/mine", ("x",))),
    (("",), ("x",), ("x", ())),
])  # fmt: skip
def test_an_own_entry_point_drops_the_images_command(entrypoint, cmd, line) -> None:
    assert command_line(merge(IMAGE, ContainerConfig(entrypoint=entrypoint, cmd=cmd))) == line


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(Invalid, match="no command specified"):
        command_line(merge(RunConfig(), ContainerConfig()))


def container(status: str) -> Container:
    return Container("1" * 64, "name", 0, ContainerConfig(), HostConfig(), "sha256:", "sh", (), State(status=status))  # type: ignore[arg-type]


@pytest.mark.parametrize(("verb", "status", "error"), [
    ("start", "running", NotModified),
    ("start", "paused", Conflict),
    ("stop", "exited", NotModified),
    ("kill", "created", Conflict),
    ("pause", "paused", Conflict),
    ("unpause", "running", Conflict),
    ("exec", "paused", Conflict),
    ("remove", "running", Conflict),
])  # fmt: skip
def test_the_table_of_states_refuses(verb: str, status: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        require(verb, container(status))


@pytest.mark.parametrize(
    ("verb", "status"), [("start", "exited"), ("stop", "running"), ("remove", "exited"), ("attach", "created")]
)
def test_the_table_of_states_allows(verb: str, status: str) -> None:
    require(verb, container(status))


def test_restart_policies() -> None:
    always, failure = RestartPolicy("always"), RestartPolicy("on-failure", 2)
    assert restart.should_restart(always, 0, 99, stopped=False)
    assert not restart.should_restart(always, 1, 0, stopped=True)
    assert [restart.should_restart(failure, 1, n, stopped=False) for n in range(4)] == [True, True, False, False]
    assert not restart.should_restart(failure, 0, 0, stopped=False)
    assert not restart.should_start_with_daemon(RestartPolicy("unless-stopped"), 0, manually_stopped=True)
    assert [restart.delay(n) for n in (0, 1, 2, 50)] == [0.1, 0.2, 0.4, 60.0]


@given(st.binary(max_size=60), st.integers(0, 60))
def test_detach_keys_are_found_wherever_input_is_cut(data: bytes, cut: int) -> None:
    """Cutting the input in two changes neither what passes nor whether the keys were seen."""
    whole, once = KeyScanner("ctrl-a,a"), KeyScanner("ctrl-a,a")
    out, seen = whole.feed(data)
    first, early = once.feed(data[:cut])
    second, late = (b"", False) if early else once.feed(data[cut:])
    assert (first + second, early or late) == (out, seen)
    assert seen == (b"\x01a" in data)


def test_detach_keys_are_parsed() -> None:
    assert parse_keys("") == b"\x10\x11" and parse_keys("ctrl-@,x") == b"\0x"
    with pytest.raises(Invalid, match="detach keys"):
        parse_keys("ctrl-1")


@pytest.mark.parametrize(("text", "parts"), [
    ("/data", ("", "/data", "")),
    ("vol:/data", ("vol", "/data", "")),
    ("/host:/data:ro,rslave", ("/host", "/data", "ro,rslave")),
    ("vol:/data:nocopy", ("vol", "/data", "nocopy")),
])  # fmt: skip
def test_binds(text: str, parts: tuple[str, str, str]) -> None:
    assert parse_bind(text) == parts


@pytest.mark.parametrize(
    "text", ["", ":", "a:b:c:d", "/x:", "./rel:/data", "/host:data", "/host:/", "/host:/data:bogus", "vol:/../.."]
)
def test_bad_binds(text: str) -> None:
    with pytest.raises(Invalid, match="invalid volume specification"):
        parse_bind(text)
