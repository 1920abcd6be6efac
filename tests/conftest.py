"""For every test: programs that tests start find the package, as the tests themselves do."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What Hypothesis takes for a slow test may be a busy machine.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent / "src")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seconds", type=float, help="how long fuzzing takes, all its tests together (otherwise a minute)")
    parser.addoption("--fuzz-seed", type=int, help="where fuzzing's draws begin")
