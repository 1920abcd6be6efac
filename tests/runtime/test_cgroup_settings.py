"""From limits to control files, version 1 and version 2: names, values, order; and what a machine cannot limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firkin.errors import Invalid
from firkin.oci.runtime_resources import (
    CPU,
    BlockIO,
    HugepageLimit,
    Memory,
    Network,
    NetworkPriority,
    Pids,
    Rdma,
    Resources,
    ThrottleDevice,
    WeightDevice,
)
from firkin.runtime.cgroup_settings import Setting, cgroup_settings
from firkin.runtime.cgroup_support import lacking, unconvertible

_V1 = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma", "net_cls", "net_prio", "devices"]
_V2 = ["cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma", "misc", "devices"]


def v1(controller: str) -> int:
    return int(controller in _V1)


def v2(controller: str) -> int:
    return 2 if controller in _V2 else 0


def files(resources: Resources, version: Callable[[str], int], **more: int) -> list[tuple[str, str]]:
    return [(name, value) for _, name, value in cgroup_settings(resources, version, **more)]


@pytest.mark.parametrize(
    ("resources", "first", "second"),
    [
        (
            Resources(memory=Memory(limit=100, swap=150, reservation=50)),
            [("memory.limit_in_bytes", "100"), ("memory.memsw.limit_in_bytes", "150"), ("memory.soft_limit_in_bytes", "50")],
            [("memory.max", "100"), ("memory.swap.max", "50"), ("memory.low", "50")],
        ),
        (
            Resources(memory=Memory(limit=-1, swap=-1)),
            [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
            [("memory.max", "max"), ("memory.swap.max", "max")],
        ),
        (Resources(memory=Memory(limit=0, swap=0, reservation=0, kernel=5)), [], []),  # zero is "not given"
        (Resources(memory=Memory(kernel_tcp=7)), [("memory.kmem.tcp.limit_in_bytes", "7")], []),
        (
            Resources(cpu=CPU(quota=-1, period=50000, burst=10, idle=1, cpus="0-1", mems="0")),
            [
                ("cpu.cfs_period_us", "50000"),
                ("cpu.cfs_quota_us", "-1"),
                ("cpu.cfs_burst_us", "10"),
                ("cpu.idle", "1"),
                ("cpuset.cpus", "0-1"),
                ("cpuset.mems", "0"),
            ],
            [
                ("cpu.max", "max 50000"),
                ("cpu.max.burst", "10"),
                ("cpu.idle", "1"),
                ("cpuset.cpus", "0-1"),
                ("cpuset.mems", "0"),
            ],
        ),
        (
            Resources(cpu=CPU(realtime_period=1000, realtime_runtime=500)),
            [("cpu.rt_period_us", "1000"), ("cpu.rt_runtime_us", "500")],
            [],
        ),
        (Resources(pids=Pids(0)), [("pids.max", "0")], [("pids.max", "0")]),
        (Resources(pids=Pids(-1)), [("pids.max", "max")], [("pids.max", "max")]),
        (
            Resources(hugepage_limits=(HugepageLimit("2MB", 4 << 20),)),
            [("hugetlb.2MB.limit_in_bytes", "4194304"), ("hugetlb.2MB.rsvd.limit_in_bytes", "4194304")],
            [("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")],
        ),
        (
            Resources(rdma={"mlx5_1": Rdma(hca_handles=3, hca_objects=10000), "mlx4_0": Rdma(hca_objects=1000)}),
            [("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"), ("rdma.max", "mlx4_0 hca_object=1000")],
            [("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"), ("rdma.max", "mlx4_0 hca_object=1000")],
        ),
        (
            Resources(network=Network(1048577, (NetworkPriority("eth0", 500), NetworkPriority("eth1", 1000)))),
            [("net_cls.classid", "1048577"), ("net_prio.ifpriomap", "eth0 500"), ("net_prio.ifpriomap", "eth1 1000")],
            [],
        ),
        (
            Resources(block_io=BlockIO(weight=1000, weight_device=(WeightDevice(8, 0, 10),))),
            [
                ("blkio.weight", "1000"),
                ("blkio.bfq.weight", "1000"),
                ("blkio.weight_device", "8:0 10"),
                ("blkio.bfq.weight_device", "8:0 10"),
            ],
            [
                ("io.bfq.weight", "default 1000"),
                ("io.weight", "default 10000"),
                ("io.bfq.weight", "8:0 10"),
                ("io.weight", "8:0 1"),
            ],
        ),
        (
            Resources(block_io=BlockIO(leaf_weight=30, weight_device=(WeightDevice(8, 0, leaf_weight=20),))),
            [("blkio.leaf_weight", "30"), ("blkio.leaf_weight_device", "8:0 20")],
            [],
        ),
        (
            Resources(
                block_io=BlockIO(
                    throttle_read_bps_device=(ThrottleDevice(8, 0, 1),), throttle_write_iops_device=(ThrottleDevice(8, 16, 2),)
                )
            ),
            [("blkio.throttle.read_bps_device", "8:0 1"), ("blkio.throttle.write_iops_device", "8:16 2")],
            [("io.max", "8:0 rbps=1"), ("io.max", "8:16 wiops=2")],
        ),
        (Resources(unified={"memory.high": "5", "misc.max": "x 1"}), None, [("memory.high", "5"), ("misc.max", "x 1")]),
    ],
)
def test_limits_become_files(resources: Resources, first: list[tuple[str, str]] | None, second: list[tuple[str, str]]) -> None:
    if first is not None:
        assert files(resources, v1) == first
    assert files(resources, v2) == second


@pytest.mark.parametrize(
    ("resources", "only_v1", "nowhere"),
    [
        (
            Resources(memory=Memory(kernel_tcp=1, swappiness=5, disable_oom_killer=True)),
            "kernelTCP swappiness disableOOMKiller",
            "",
        ),
        (Resources(memory=Memory(kernel_tcp=0, swappiness=0, disable_oom_killer=False)), "", ""),
        (Resources(cpu=CPU(realtime_runtime=1, realtime_period=1)), "realtimeRuntime realtimePeriod", ""),
        (Resources(memory=Memory(swap=5)), "swap", ""),
        (Resources(block_io=BlockIO(leaf_weight=10)), "leafWeight", "leafWeight"),
        (Resources(network=Network(1, (NetworkPriority("eth0", 1),))), "classID priorities", "classID priorities"),
        (Resources(rdma={"x": Rdma(1)}), "", "rdma"),
    ],
)
def test_what_cannot_be_converted_is_named(resources: Resources, only_v1: str, nowhere: str) -> None:
    def named(version: Callable[[str], int]) -> str:
        return " ".join(field.rpartition(".")[2] for field in unconvertible(resources, version))

    assert named(v1) == ""
    assert named(v2) == only_v1
    assert named(lambda controller: 0) == nowhere


@pytest.mark.parametrize("name", ["memory.high", "cgroup.freeze", "misc.max", "what.ever", "../x.y", "nothing"])
def test_unified_files_are_of_version_2(name: str) -> None:
    resources = Resources(unified={name: "1"})
    core = name.startswith("cgroup.")
    assert list(unconvertible(resources, v1)) == ([] if core else ["unified." + name])
    assert list(unconvertible(resources, v2)) == ([] if core or name in ("memory.high", "misc.max") else ["unified." + name])


def test_a_limit_with_two_names_needs_one_of_them() -> None:
    settings: list[Setting] = cgroup_settings(
        Resources(block_io=BlockIO(weight=10), hugepage_limits=(HugepageLimit("2MB", 0),), pids=Pids(1)), v1
    )
    assert lacking([], settings) == lacking(["blkio.weight", "hugetlb.2MB.rsvd.limit_in_bytes"], settings) == ""
    assert lacking(["blkio.bfq.weight", "blkio.weight"], settings) == "blkio.bfq.weight"
    assert lacking(["pids.max"], settings) == "pids.max"


def test_memory_in_use_is_checked_before_an_update() -> None:
    """Version 2 would start killing; version 1 refuses by itself."""
    checked = Resources(memory=Memory(limit=100, check_before_update=True))
    with pytest.raises(Invalid, match=r"linux\.resources\.memory\.limit: 100 is less than the 101 bytes in use"):
        cgroup_settings(checked, v2, used=101)
    assert files(checked, v2, used=100) == [("memory.max", "100")]
    assert files(Resources(memory=Memory(limit=100)), v2, used=101) == [("memory.max", "100")]
    assert files(Resources(memory=Memory(limit=-1, check_before_update=True)), v2, used=101) == [("memory.max", "max")]


def test_version_1_memory_never_exceeds_memory_and_swap() -> None:
    growing = Resources(memory=Memory(limit=300, swap=400))
    assert [name for name, _ in files(growing, v1, present_swap=200)] == [
        "memory.memsw.limit_in_bytes",
        "memory.limit_in_bytes",
    ]
    assert [name for name, _ in files(growing, v1, present_swap=500)] == [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
    ]
