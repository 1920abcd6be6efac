from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator

import pytest

from tests.fuzz.cell import Cell
from tests.fuzz.rig import Budget

USUAL = 60.0  # seconds, all tests together
BATCHES = 12  # of each test at most, unless more time is asked for
SLACK = 120  # seconds for the last value and for making a failure small


def asked(config: pytest.Config) -> float:
    return float(config.getoption("--fuzz-seconds") or os.environ.get("FIRKIN_FUZZ_SECONDS", "0"))


def fuzz_tests(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if item.get_closest_marker("fuzz")]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in fuzz_tests(items):
        item.add_marker(pytest.mark.timeout(asked(config) + SLACK))


@pytest.fixture(scope="session")
def budget(request: pytest.FixtureRequest) -> Budget:
    """An equal part of the time for each fuzz test of this run: a minute, or `--fuzz-seconds`, or $FIRKIN_FUZZ_SECONDS."""
    seconds, first = asked(request.config), request.config.getoption("--fuzz-seed")
    if first is None:
        first = random.randrange(1 << 32) if seconds else 0
    most = math.inf if seconds else BATCHES
    return Budget((seconds or USUAL) / max(len(fuzz_tests(request.session.items)), 1), first, most)


@pytest.fixture(scope="session")
def cell() -> Iterator[Cell]:
    """A process that unpacks where only its own directory can be written."""
    with Cell() as cell:
        yield cell
