"""The lane's machines run beside all other tests: started as soon as it is known which are wanted, asked for last.

`inside` holds tests of the machines themselves: anywhere else there is nothing for them to run on.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.vm.kinds import Kind
from tests.vm.lanes import LANES, Lanes

collect_ignore = [] if os.environ.get("FIRKIN_VM") else ["inside"]
_HERE = Path(__file__).parent


def _kind(item: pytest.Item) -> Kind | None:
    """Which machine a test asks about."""
    if item.path.parent != _HERE or not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    kind = item.callspec.params.get("kind")
    return kind if isinstance(kind, Kind) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _kind(item) is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = {kind.name for item in session.items if (kind := _kind(item))}
    if wanted and not session.config.option.collectonly:
        session.config.stash[LANES] = Lanes(wanted)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (lanes := config.stash.get(LANES, None)) is not None:
        lanes.close()


@pytest.fixture(scope="session")
def lanes(pytestconfig: pytest.Config) -> Lanes:
    return pytestconfig.stash[LANES]
