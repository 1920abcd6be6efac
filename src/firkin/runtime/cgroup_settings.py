"""From `linux.resources` to control files: what each limit is called, and how it is written, in cgroup v1 and v2. Pure.

Source: runtime-spec config-linux.md "Control groups"; kernel cgroup-v1/*.rst and cgroup-v2.rst; the conversions between
the two are those of the OCI runtimes (crun.1.md, "Cgroup v2").
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.oci.runtime_resources import CPU, Memory, Resources
from firkin.runtime import cgroup_bandwidth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Setting = tuple[str, str, str]  # controller, control file, value
DeviceRule = tuple[bool, str, int, int, str]


def cgroup_settings(
    resources: Resources, version: Callable[[str], int], present_swap: int = -1, used: int = 0
) -> list[Setting]:
    """The writes that put `resources` in force, in order. `version` tells 1, 2 or 0 (absent) for a controller.

    `present_swap` is the memory+swap limit in force (bytes, -1 unlimited): version 1 demands that memory stay below it at
    every moment, so growing and shrinking need opposite orders. `used` is the memory in use: with checkBeforeUpdate a
    limit below it is `Invalid`, as version 1 has it anyhow, where version 2 would start to kill.
    """
    found: list[Setting] = []
    wanted = resources.memory
    if wanted and wanted.check_before_update and 0 <= (wanted.limit or -1) < used:
        raise Invalid(f"linux.resources.memory.limit: {wanted.limit} is less than the {used} bytes in use")
    if resources.memory:
        memory = _memory_v1(resources.memory, present_swap) if version("memory") == 1 else _memory_v2(resources.memory)
        found += _of("memory", version, memory)
    if resources.cpu:
        found += _of("cpu", version, _cpu_v1(resources.cpu) if version("cpu") == 1 else _cpu_v2(resources.cpu))
        found += _of("cpuset", version, _cpuset(resources.cpu))
    if resources.pids:
        found += _of("pids", version, [("pids.max", "max" if resources.pids.limit < 0 else str(resources.pids.limit))])
    if resources.block_io:
        found += _of("blkio", version, cgroup_bandwidth.blkio(resources.block_io))
        found += _of("io", version, cgroup_bandwidth.io(resources.block_io))
    found += _of("hugetlb", version, cgroup_bandwidth.hugepages(resources.hugepage_limits, version("hugetlb")))
    found += _of("rdma", version, cgroup_bandwidth.rdma(resources.rdma))
    found += cgroup_bandwidth.network(resources.network, version) if resources.network else []
    found += [(name.partition(".")[0], name, value) for name, value in resources.unified.items()]
    return found


def device_rules(resources: Resources) -> list[DeviceRule]:
    """The device list as `linux.cgroup` takes it: -1 for any number."""
    return [
        (
            rule.allow,
            rule.type or "a",
            -1 if rule.major is None else rule.major,
            -1 if rule.minor is None else rule.minor,
            rule.access or "rwm",
        )
        for rule in resources.devices
    ]


def _of(controller: str, version: Callable[[str], int], files: list[tuple[str, str]]) -> list[Setting]:
    return [(controller, name, value) for name, value in files] if version(controller) else []


def _bound(number: int) -> str:
    return "max" if number <= 0 else str(number)


def _memory_v1(memory: Memory, present_swap: int) -> list[tuple[str, str]]:
    # Zero is "not given", as clients written in Go have it.
    limits = [("memory.limit_in_bytes", memory.limit or None), ("memory.memsw.limit_in_bytes", memory.swap or None)]
    if memory.limit is not None and 0 <= present_swap < memory.limit:
        limits.reverse()
    others = [
        ("memory.soft_limit_in_bytes", memory.reservation or None),
        ("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp or None),
        ("memory.swappiness", memory.swappiness),
        ("memory.oom_control", int(memory.disable_oom_killer) if memory.disable_oom_killer else None),
        ("memory.use_hierarchy", int(memory.use_hierarchy) if memory.use_hierarchy else None),
    ]
    return [(name, str(value)) for name, value in limits + others if value is not None]


def _memory_v2(memory: Memory) -> list[tuple[str, str]]:
    files = []
    if memory.limit:
        files.append(("memory.max", _bound(memory.limit)))
    if memory.swap:
        # Version 2 limits swap alone, version 1 and Docker the sum.
        files.append(("memory.swap.max", "max" if memory.swap < 0 else str(memory.swap - (memory.limit or 0))))
    if memory.reservation:
        files.append(("memory.low", _bound(memory.reservation)))
    return files


def _cpu_v1(cpu: CPU) -> list[tuple[str, str]]:
    # The period first: a quota is checked against the period in force.
    files = [
        ("cpu.shares", cpu.shares or None),
        ("cpu.cfs_period_us", cpu.period or None),
        ("cpu.cfs_quota_us", cpu.quota or None),
        ("cpu.cfs_burst_us", cpu.burst),
        ("cpu.rt_period_us", cpu.realtime_period or None),
        ("cpu.rt_runtime_us", cpu.realtime_runtime or None),
        ("cpu.idle", cpu.idle),
    ]
    return [(name, str(value)) for name, value in files if value is not None]


def _cpu_v2(cpu: CPU) -> list[tuple[str, str]]:
    files = []
    if cpu.shares:
        # 2..262144 shares onto 1..10000 weight.
        files.append(("cpu.weight", str(1 + (max(cpu.shares, 2) - 2) * 9999 // 262142)))
    if cpu.quota or cpu.period:
        files.append(("cpu.max", f"{_bound(cpu.quota or 0)} {cpu.period or 100000}"))
    if cpu.burst is not None:
        files.append(("cpu.max.burst", str(cpu.burst)))
    if cpu.idle is not None:
        files.append(("cpu.idle", str(cpu.idle)))
    return files


def _cpuset(cpu: CPU) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (("cpuset.cpus", cpu.cpus), ("cpuset.mems", cpu.mems)) if value]
