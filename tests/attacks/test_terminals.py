"""Text that a terminal would obey: what images and containers are called, labelled and made of is shown by the command line
to whoever asks, and by then it is their terminal's turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.hostile_images import archive, file, layer, load
from tests.attacks.rig import Rig

# Sets the title, clears the screen, turns the text red by a one-character introducer, hides what follows.
EVIL = "\x1b]0;owned\x07\x1b[2J\u009b31m\x7f\r"
NAME = "terminal"


@pytest.fixture(scope="module")
def seen(rig: Rig) -> Iterator[None]:
    """A container whose image, labels, processes and files all have something to say to a terminal."""
    config = {"Labels": {"label" + EVIL: "value" + EVIL}, "Cmd": ["sh", "-c", f"sleep 1000; : {EVIL}"], "Env": ["PATH=/bin"]}
    assert load(rig, archive(config, layer(file("tmp/file")))) == ""
    try:
        rig.engine.firkin("run", "-d", "--name", NAME, "-l", "own=" + EVIL, "hostile:1")
        rig.engine.firkin("exec", NAME, "sh", "-c", f"echo > '/tmp/made {EVIL}'")
        yield
    finally:
        rig.engine.firkin("rm", "-f", NAME)


def is_harmless(text: str) -> bool:
    return not any(char in text for char in "\x1b\x07\u009b\x7f\r")


@pytest.mark.parametrize(
    "words",
    [
        "ps",
        "ps --no-trunc",
        "inspect terminal",
        "top terminal",
        "diff terminal",
        "images",
        "history --no-trunc hostile:1",
        "image inspect hostile:1",
        "ps --format json",
        "system df -v",
        "port terminal",
        f"run --rm --user no{EVIL}body hostile:1",
        f"run --rm hostile:1 /no{EVIL}thing",
        f"rm no{EVIL}body",
    ],
    ids=lambda words: words.split(EVIL)[0],
)
def test_what_is_shown_is_harmless(rig: Rig, seen: None, words: str) -> None:
    done = rig.engine.firkin(*words.split(" "), check=False)
    assert is_harmless(done.stdout + done.stderr), done
    assert done.stdout or done.stderr or words.startswith("port")


def test_a_name_cannot_be_evil(rig: Rig) -> None:
    done = rig.run("--name", "x" + EVIL, "busybox:test", "true")
    assert done.returncode == 125 and "Invalid container name" in done.stderr and is_harmless(done.stderr)


def test_scripts_get_the_text_as_it_is(rig: Rig, seen: None) -> None:
    """A template is for programs, as logs and `exec` are; which shows that there is something to make harmless."""
    assert "own=" + EVIL.replace("\r", "") in rig.engine.firkin("ps", "--format", "{{.Labels}}").stdout.replace("\n", "")


def test_events_are_harmless(rig: Rig, seen: None) -> None:
    done = rig.engine.firkin("events", "--since", "1h", "--until", "0s", check=False)
    assert f"name={NAME}" in done.stdout and is_harmless(done.stdout)
