"""The kind "older" is what it is said to be: version 1 alone with all controllers, SELinux enforcing."""

from __future__ import annotations

from pathlib import Path

from firkin.linux.cgroup import Cgroups

CONTROLLERS = (
    "cpuset",
    "cpu",
    "cpuacct",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "rdma",
)


def test_every_controller_is_of_version_1() -> None:
    cgroups = Cgroups.detect()
    assert {name: cgroups.version(name) for name in CONTROLLERS} == dict.fromkeys(CONTROLLERS, 1)
    assert not cgroups.unified and not cgroups.controllers


def test_selinux_enforces() -> None:
    assert Path("/sys/fs/selinux/enforce").read_text() == "1"
    assert Path("/proc/self/attr/current").read_text().startswith("system_u:system_r:host_t:")
