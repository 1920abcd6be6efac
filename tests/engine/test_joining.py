"""Namespaces opened by a number that has become another process's: what the engine does not know yet when it opens them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from firkin.engine import joining
from firkin.engine.table import Live
from firkin.errors import Conflict
from firkin.model import HostConfig

HOST = HostConfig(network_mode="container:owner", pid_mode="container:owner")


@pytest.fixture
def another() -> Iterator[int]:
    """The process that has the number now, of which the pidfd of a container's is not."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process.pid
    process.kill()
    process.wait()


def live(pid: int, pidfd: int) -> Live:
    return Live(pid, pidfd, "", AsyncExitStack(), 0.0)


def ended() -> int:
    """A pidfd of a process that has been buried."""
    process = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(process.pid)
    process.wait()
    return pidfd


def engine(owner: Live | None) -> Any:
    """As far as is needed: one that has a container `owner`."""
    return SimpleNamespace(containers=SimpleNamespace(find=lambda ref: SimpleNamespace(live=owner)))


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


def paths(pid: int) -> dict[str, str]:
    return {"ns-network": f"/proc/{pid}/ns/net", "ns-pid": f"/proc/{pid}/ns/pid"}


def test_of_one_that_runs(another: int) -> None:
    pidfd = os.pidfd_open(another)
    with ExitStack() as closing:
        found = joining.open_joined(engine(live(another, pidfd)), HOST, paths(another), closing)
        network = joining.open_network(live(another, pidfd))
        wanted = os.stat(f"/proc/{another}/ns/net").st_ino
        assert set(found) == {"ns-network", "ns-pid"}
        assert os.fstat(found["ns-network"]).st_ino == os.fstat(network).st_ino == wanted
    os.close(network)
    os.close(pidfd)


def test_of_one_whose_number_is_anothers_now(another: int) -> None:
    """Ended and buried, or started again meanwhile under another number, or known to be down."""
    pidfd, own = ended(), os.pidfd_open(os.getpid())
    before = descriptors()
    for owner in (live(another, pidfd), live(os.getpid(), own), None):
        with ExitStack() as closing, pytest.raises(Conflict, match="the container has ended"):
            joining.open_joined(engine(owner), HOST, paths(another), closing)
    with pytest.raises(Conflict, match="it has ended"):
        joining.open_network(live(another, pidfd))
    assert descriptors() == before
    os.close(pidfd)
    os.close(own)


def test_of_one_whose_number_is_nobodys(another: int) -> None:
    gone = subprocess.Popen(["true"])
    pidfd = os.pidfd_open(gone.pid)
    gone.wait()
    with pytest.raises(Conflict, match="has ended"):
        joining.open_network(live(gone.pid, pidfd))
    os.close(pidfd)
