"""`firkin-oci` beside runc where there is cgroup version 2 alone: the same configuration, the same groups and limits."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import ROOT, busybox_tar
from tests.vm.inside.conftest import GROUPS

M = 1 << 20
SEE = ["sh", "-c", "cat /proc/self/cgroup; cat /sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup)/memory.max"]
Run = Callable[[dict[str, Any]], subprocess.CompletedProcess[str]]


@pytest.fixture(params=["runc", "firkin-oci"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """`RUNTIME run` with changes to what `runc spec` makes; the host's cgroup namespace, so that paths are whole."""
    program = shutil.which("runc") if request.param == "runc" else str(ROOT / "firkin-oci")
    busybox_tar(tmp_path)
    subprocess.run(["runc", "spec", "-b", str(tmp_path)], check=True, timeout=60)
    config = json.loads((tmp_path / "config.json").read_text())

    def go(linux: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        config["process"] |= {"terminal": False, "args": SEE}
        config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "cgroup"]
        config["linux"] |= linux
        (tmp_path / "config.json").write_text(json.dumps(config))
        argv = [str(program), "--root", str(tmp_path / "state"), "run", "-b", str(tmp_path), "one"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    return go


@pytest.mark.parametrize(
    ("wanted", "group"),
    [
        ("/lane-oci/deep/er", "/lane-oci/deep/er"),
        ("relative", "/system.slice/relative"),  # beside the caller's own group, which has processes in it
    ],
)
def test_groups_are_where_runc_makes_them(run: Run, wanted: str, group: str) -> None:
    done = run({"cgroupsPath": wanted, "resources": {"memory": {"limit": 64 * M}}})
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"0::{group}", str(64 * M)]), done.stderr
    assert not (GROUPS / group[1:]).exists()


def test_what_version_2_takes_by_name(run: Run) -> None:
    done = run({"cgroupsPath": "/lane-oci/unified", "resources": {"unified": {"memory.max": str(32 * M), "pids.max": "20"}}})
    assert done.stdout.splitlines() == ["0::/lane-oci/unified", str(32 * M)], done.stderr


@pytest.mark.parametrize("name", ["nonsense.max", "memory.nonsense"])
def test_what_it_does_not_take_is_refused(run: Run, name: str) -> None:
    done = run({"cgroupsPath": "/lane-oci/refused", "resources": {"unified": {name: "1"}}})
    assert done.returncode != 0 and name.partition(".")[0] in done.stderr
    assert not (GROUPS / "lane-oci/refused").exists()
