"""What is created all the same, and what is said of it: on machines that lack something, made of directories."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from firkin.engine import warnings
from firkin.engine.engine import Engine
from firkin.linux.cgroup import Cgroups
from firkin.linux.process import get_rlimit
from firkin.model import ContainerConfig, CreateRequest, HostConfig, Resources, Ulimit
from firkin.oci.platform import Platform, host_platform

NOFILE = 7
LIMITED = Resources(memory=64 << 20, memory_swap=128 << 20, blkio_weight=300, pids_limit=9)


def hierarchy(root: Path, *files: str) -> str:
    """With one group in it that has these files."""
    (root / "group").mkdir(parents=True)
    for name in files:
        (root / "group" / name).touch()
    return str(root)


def version_1(directory: Path, *files: str) -> Cgroups:
    return Cgroups({"memory": hierarchy(directory, *files), "blkio": str(directory), "pids": str(directory)}, "", frozenset())


def version_2(directory: Path, *files: str) -> Cgroups:
    root = hierarchy(directory, "cgroup.controllers", *files)
    (directory / "group/cgroup.controllers").write_text("io memory pids\n")
    return Cgroups({}, root, frozenset(("io", "memory", "pids")))


@pytest.mark.parametrize(("make", "swap", "weight"), [
    (version_1, "memory.memsw.limit_in_bytes", "blkio.bfq.weight"), (version_2, "memory.swap.max", "io.weight"),
])  # fmt: skip
def test_a_limit_without_its_file_is_not_dropped_in_silence(tmp_path: Path, make: Any, swap: str, weight: str) -> None:
    assert list(warnings.of_limits(make(tmp_path / "all", swap, weight), LIMITED)) == []
    lacking = make(tmp_path / "some", "memory.stat")
    assert list(warnings.of_limits(lacking, LIMITED)) == [
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    ]
    assert list(warnings.of_limits(lacking, Resources(memory=64 << 20, memory_swap=-1))) == []
    assert not warnings.limits_swap(lacking)


def test_a_controller_that_is_missing(tmp_path: Path) -> None:
    nothing = Cgroups({}, "", frozenset())
    assert [text.partition(" or the")[0].split("support ")[1] for text in warnings.of_limits(nothing, LIMITED)] == [
        "memory limit", "PIDs limit", "Block I/O weight",
    ]  # fmt: skip


def engine(groups: Cgroups, **machine: bool) -> Engine:
    facts = {"cgroups": True, "apparmor": False, "apparmor_profile": "", "user_namespace": False, **machine}
    return cast(Engine, SimpleNamespace(cgroups=groups, machine=SimpleNamespace(**facts)))


def test_what_info_ends_with(tmp_path: Path) -> None:
    lacking = list(warnings.of_machine(engine(version_1(tmp_path, "memory.stat"), apparmor=True)))
    assert lacking[:4] == [f"WARNING: No {name} support" for name in ("swap limit", "cpu cfs quota", "cpu shares", "cpuset")]
    assert "AppArmor is on" in lacking[4]
    assert "without cgroups" in next(warnings.of_machine(engine(Cgroups({}, "", frozenset()), cgroups=False)))


def created(host: HostConfig, platform: Platform, asked: str = "", **machine: bool) -> tuple[str, ...]:
    request = CreateRequest(ContainerConfig(image="app"), host, platform=asked)
    image = SimpleNamespace(config=SimpleNamespace(platform=platform))
    return warnings.of_container(engine(Cgroups({}, "", frozenset()), **machine), request, host, cast(Any, image))


def test_an_image_for_another_machine() -> None:
    other = Platform("riscv64", "linux")
    [text] = created(HostConfig(), other)
    assert text == (
        f"The requested image's platform (linux/riscv64) does not match the detected host platform ({host_platform()}) "
        "and no specific platform was requested"
    )
    assert created(HostConfig(), other, "linux/riscv64") == created(HostConfig(), host_platform()) == ()


def test_a_hard_limit_that_cannot_be_raised() -> None:
    _, present = get_rlimit(NOFILE)
    most = int(Path("/proc/sys/fs/nr_open").read_text())

    def said(hard: int, name: str = "nofile", **machine: bool) -> tuple[str, ...]:
        return created(HostConfig(resources=Resources(ulimits=(Ulimit(name, 1, hard),))), host_platform(), **machine)

    assert said(present) == said(max(present, most)) == said(-1, "core") == said(-1, "bogus") == ()
    for hard, machine in ((max(present, most) + 1, {}), (-1, {}), (present + 1, {"user_namespace": True})):
        assert said(hard, **machine) == (
            f"Ulimit nofile: the hard limit cannot be raised to {hard} here. It stays at {present}.",
        )
