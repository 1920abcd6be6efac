"""A network namespace for every test here, real registries in it, and an images service over a fresh data root."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from firkin.linux import process
from tests.images.faulty import FaultyRegistry
from tests.images.rig import Registry, Rig


@pytest.fixture(scope="package", autouse=True)
def private_network() -> Iterator[None]:
    """This thread, and all it starts, in a network of its own with nothing but loopback."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    process.unshare(process.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        yield
    finally:
        process.setns(home, process.CLONE_NEWNET)
        os.close(home)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "firkin")
    yield rig
    rig.check_tidy()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with Registry(tmp_path / "registry", 5000) as registry:
        yield registry


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    """No task of ours outlives its test (the test's own server and generators that are being collected may)."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not [task for task in left if "aiohttp/web" not in str(task) and "async_generator" not in str(task)]


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyRegistry]:
    async with FaultyRegistry() as faulty:
        yield faulty
