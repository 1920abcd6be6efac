"""Completion: bash really sources the script and asks for words."""

from __future__ import annotations

import subprocess

import pytest

from firkin.cli import catalog
from tests.cli.conftest import IMAGE, Reference
from tests.lab import FIRKIN

SOURCE = """
eval "$("$FIRKIN" completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
_firkin "$FIRKIN"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(line: str, env: dict[str, str] | None = None) -> list[str]:
    nowhere = {"PATH": "/usr/bin:/bin:/usr/local/bin", "DOCKER_HOST": "unix:///nonexistent", "HOME": "/nonexistent"}
    done = subprocess.run(
        ["bash", "-c", SOURCE, "bash", line], env={**nowhere, **(env or {}), "FIRKIN": FIRKIN}, capture_output=True, text=True
    )
    assert "firkin" not in done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("firkin ru", ["run"]),
        ("firkin container st", ["start", "stats", "stop"]),
        ("firkin image from", ["from-host"]),
        ("firkin run --net", ["--network", "--network-alias"]),
        ("firkin run --pull ", ["always", "missing", "never"]),
        ("firkin run --pull=m", ["--pull=missing"]),
        ("firkin -D run --restart on", ["on-failure"]),
        ("firkin run image --net", []),
        ("firkin completion ", ["bash", "fish", "zsh"]),
        ("firkin ps ", []),
        ("firkin nonsense ", []),
    ],
)
def test_words_come_from_the_tables(line: str, words: list[str]) -> None:
    assert complete(line) == words


def test_every_command_completes_its_flags() -> None:
    for entry in catalog.ENTRIES:
        name = entry.names[0]
        if name not in ("daemon", "__complete"):
            assert "--help" in subprocess.run(
                [FIRKIN, "__complete", *name.split(), "--"], capture_output=True, text=True, env={"HOME": "/nonexistent"}
            ).stdout.split(), name  # fmt: skip


@pytest.mark.reference
def test_names_come_from_the_daemon(reference: Reference) -> None:
    reference.docker("create", "--name", "named", IMAGE, "true", check=True)
    assert complete("firkin rm -f na", reference.env) == ["named"]
    assert complete("firkin run -it b", reference.env) == [IMAGE]
    assert complete("firkin rmi bb:la", reference.env) == ["latest"]  # bash keeps what stands before a colon
    assert complete("firkin network inspect ho", reference.env) == ["host"]
    assert complete("firkin network connect bridge na", reference.env) == ["named"]
    assert complete("firkin run --network br", reference.env) == ["bridge"]
    reference.docker("rm", "named")
