from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from tests.lab import SLOWNESS, Engine, Lab, busybox_tar

IMAGE = "busybox:test"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Engine:
    """A running engine that holds one image, `busybox:test`."""
    engine = Engine(lab).start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    return engine


@pytest.fixture(params=["docker", "firkin"] if SLOWNESS == 1 else ["docker"])
def client(request: pytest.FixtureRequest, engine: Engine) -> Callable[..., object]:
    """Each test runs with Docker's own command line and with Firkin's; emulated, where time is dear and only the kernel is
    another, with one of them."""
    if request.param == "docker" and not shutil.which("docker"):
        pytest.skip("no docker command on this machine")
    return getattr(engine, request.param)
