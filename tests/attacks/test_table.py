"""docs/security.md beside the tests: each one that it names exists, and every attack here is in it."""

from __future__ import annotations

import re

from tests.lab import ROOT

TABLE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
HERE = ROOT / "tests/attacks"


def named() -> set[tuple[str, str]]:
    """(file, function) of each test that the document speaks of; `::name` is in the file named before it."""
    found, file = set(), ""
    for path, function in re.findall(r"`([\w/.]*)::(\w+)`", TABLE):
        file = path or file
        found.add((file if "/" in file else f"tests/attacks/{file}", function))
    return found


def test_every_test_that_is_named_exists() -> None:
    assert len(named()) > 50
    for path, function in named():
        assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{function}"


def test_every_attack_is_named() -> None:
    for path in HERE.glob("test_*.py"):
        for function in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE):
            assert path.name == "test_table.py" or (f"tests/attacks/{path.name}", function) in named(), (
                f"{path.name}::{function}"
            )
