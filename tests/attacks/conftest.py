"""One engine for all attacks: each is made from containers of its own, and must leave the others' world as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.rig import SECRET, Rig
from tests.lab import Engine, Lab, busybox_tar
from tests.runtime.box import Box


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture(scope="session")
def rig(lab: Lab) -> Rig:
    """A running engine that holds one image, and has something to hide: in its environment, and in a file of the host's."""
    os.environ["FIRKIN_ATTACK_SECRET"] = SECRET
    try:
        engine = Engine(lab).start()
    finally:
        del os.environ["FIRKIN_ATTACK_SECRET"]
    engine.firkin("import", str(busybox_tar(lab.dir)), "busybox:test")
    secret = lab.dir / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    return Rig(engine, secret)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Plans obeyed by children of this very process, for naive variants of a plan's steps."""
    return Box(tmp_path / "box")
