"""A store of its own for each test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firkin.storage.snapshots import OverlayMount
from tests.storage.rig import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def in_merged(tmp_path: Path) -> Callable[[OverlayMount, str], str]:
    """Run a shell script in a root made of an OverlayMount, in a mount namespace of its own; what it prints."""

    def run(overlay: OverlayMount, script: str) -> str:
        lowers = ":".join(overlay.lowers)
        target = tmp_path / "merged"
        target.mkdir(exist_ok=True)
        options = f"lowerdir={lowers},upperdir={overlay.upper},workdir={overlay.work}"
        whole = f'mount -t overlay overlay -o "{options}" {target} && cd {target} && ({script})'
        command = ["unshare", "-m", "--propagation", "private", "sh", "-ec", whole]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    return run
