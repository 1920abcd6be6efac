"""One engine a file, whose image has programs with privileges; nothing is left in it from one test to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.traces import remove_cgroups
from tests.e2e.userns.rig import PARENT, remove_all, users_engine
from tests.lab import Engine, Lab


@pytest.fixture(scope="module", autouse=True)
def groups() -> Iterator[None]:
    """Removed last of all, when the laboratory is closed."""
    yield
    remove_cgroups(PARENT)


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Iterator[Engine]:
    with users_engine(lab) as engine:
        yield engine


@pytest.fixture(autouse=True)
def clean(engine: Engine) -> Iterator[None]:
    yield
    remove_all(engine)
