"""SELinux where the kernel enforces it, under guest/policy.cil: which labels processes and files have, what those keep out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.inside.conftest import Box

LABEL = r"tr -d '\0' </proc/self/attr/current"
ONE, TWO, BOTH = ({"SecurityOpt": [f"label=level:s0:{categories}"]} for categories in ("c1", "c2", "c1,c2"))
READ = "cat /bound/file"
ATTRIBUTE = "security.selinux"


@pytest.fixture
def secret() -> Iterator[Path]:
    """A directory of the host's with a file in it, which no container's type may read."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        (file := Path(name) / "file").write_text("told")
        for path in (file, Path(name)):
            os.setxattr(path, ATTRIBUTE, b"system_u:object_r:secret_t:s0\0")
        yield Path(name)


def bound(path: Path, host: dict[str, list[str]], mode: str = "") -> dict[str, list[str]]:
    return {**host, "Binds": [f"{path}:/bound{mode}"]}


def label(path: Path | str) -> str:
    return os.getxattr(path, ATTRIBUTE).rstrip(b"\0").decode()


def test_a_container_is_labelled_if_it_asks(box: Box) -> None:
    assert box.run(LABEL)[1].startswith("system_u:system_r:host_t:")
    assert box.run(LABEL, ONE) == (0, "system_u:system_r:lane_t:s0:c1")
    assert box.run(LABEL, {"SecurityOpt": ["label=disable"]})[1].startswith("system_u:system_r:host_t:")


@pytest.mark.parametrize(("asked", "level"), [(ONE, "s0:c1"), (BOTH, "s0:c1,c2")])
def test_its_mounts_and_further_processes_are_labelled_too(box: Box, asked: dict[str, list[str]], level: str) -> None:
    container = box.start(host=asked)
    root = f"/proc/{box.inspect(container)['State']['Pid']}/root"
    for path in ("/", "/etc", "/bin/busybox", "/dev/shm"):
        assert label(root + path) == f"system_u:object_r:lane_file_t:{level}", path
    assert box.exec(container, "grep", "-q", f"lane_t:{level}", "/proc/self/attr/current") == 0


def test_the_hosts_files_are_kept_from_it(box: Box, secret: Path) -> None:
    assert box.run(READ, bound(secret, {})) == (0, "told")
    code, said = box.run(READ, bound(secret, ONE))
    assert code != 0 and "Permission denied" in said


def test_what_is_bound_privately_is_for_one_category(box: Box, secret: Path) -> None:
    assert box.run(READ, bound(secret, ONE, ":Z")) == (0, "told")
    assert label(secret / "file") == "system_u:object_r:lane_file_t:s0:c1"
    assert box.run(READ, bound(secret, TWO))[0] != 0


def test_what_is_bound_for_all_is_for_every_category(box: Box, secret: Path) -> None:
    assert box.run(READ, bound(secret, ONE, ":z")) == (0, "told")
    assert label(secret / "file") == "system_u:object_r:lane_file_t:s0"
    assert box.run(READ, bound(secret, TWO)) == (0, "told")


def test_a_type_that_the_policy_does_not_have(box: Box) -> None:
    container = box.create("true", {"SecurityOpt": ["label=type:no_such_t"]})
    answer = box.call("POST", f"/containers/{container}/start", status=500)
    assert "no_such_t" in answer["message"]
