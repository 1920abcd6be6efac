"""From `linux.resources` to control files: what each limit is called, and how it is written, in cgroup v1 and v2. Pure.

Source: runtime-spec config-linux.md "Control groups"; kernel cgroup-v1/*.rst and cgroup-v2.rst; the conversions between
the two are those of the OCI runtimes (crun.1.md, "Cgroup v2").
"""

from __future__ import annotations

from firkin.oci.runtime_resources import CPU, BlockIO, Memory, Resources, ThrottleDevice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Setting = tuple[str, str, str]  # controller, control file, value
DeviceRule = tuple[bool, str, int, int, str]


def cgroup_settings(resources: Resources, version: Callable[[str], int], present_swap: int = -1) -> list[Setting]:
    """The writes that put `resources` in force, in order. `version` tells 1, 2 or 0 (absent) for a controller.

    `present_swap` is the memory+swap limit in force (bytes, -1 unlimited): version 1 demands that memory stay below it at
    every moment, so growing and shrinking need opposite orders.
    """
    found: list[Setting] = []
    if resources.memory:
        memory = _memory_v1(resources.memory, present_swap) if version("memory") == 1 else _memory_v2(resources.memory)
        found += _of("memory", version, memory)
    if resources.cpu:
        found += _of("cpu", version, _cpu_v1(resources.cpu) if version("cpu") == 1 else _cpu_v2(resources.cpu))
        found += _of("cpuset", version, _cpuset(resources.cpu))
    if resources.pids:
        found += _of("pids", version, [("pids.max", _bound(resources.pids.limit))])
    if resources.block_io:
        found += _of("blkio", version, _blkio(resources.block_io)) if version("blkio") else []
        found += _of("io", version, _io(resources.block_io)) if version("io") == 2 else []
    suffix = "limit_in_bytes" if version("hugetlb") == 1 else "max"
    found += _of("hugetlb", version, [(f"hugetlb.{h.page_size}.{suffix}", str(h.limit)) for h in resources.hugepage_limits])
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
    limits = [("memory.limit_in_bytes", memory.limit), ("memory.memsw.limit_in_bytes", memory.swap)]
    if memory.limit is not None and 0 <= present_swap < memory.limit:
        limits.reverse()
    others = [
        ("memory.soft_limit_in_bytes", memory.reservation),
        ("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp),
        ("memory.swappiness", memory.swappiness),
        ("memory.oom_control", int(memory.disable_oom_killer) if memory.disable_oom_killer else None),
    ]
    return [(name, str(value)) for name, value in limits + others if value is not None]


def _memory_v2(memory: Memory) -> list[tuple[str, str]]:
    files = []
    if memory.limit is not None:
        files.append(("memory.max", _bound(memory.limit)))
    if memory.swap is not None:
        # Version 2 limits swap alone, version 1 and Docker the sum.
        files.append(("memory.swap.max", "max" if memory.swap < 0 else str(memory.swap - (memory.limit or 0))))
    if memory.reservation is not None:
        files.append(("memory.low", str(memory.reservation)))
    return files


def _cpu_v1(cpu: CPU) -> list[tuple[str, str]]:
    # The period first: a quota is checked against the period in force.
    files = [
        ("cpu.shares", cpu.shares),
        ("cpu.cfs_period_us", cpu.period),
        ("cpu.cfs_quota_us", cpu.quota),
        ("cpu.cfs_burst_us", cpu.burst),
        ("cpu.rt_period_us", cpu.realtime_period),
        ("cpu.rt_runtime_us", cpu.realtime_runtime),
        ("cpu.idle", cpu.idle),
    ]
    return [(name, str(value)) for name, value in files if value is not None]


def _cpu_v2(cpu: CPU) -> list[tuple[str, str]]:
    files = []
    if cpu.shares:
        # 2..262144 shares onto 1..10000 weight.
        files.append(("cpu.weight", str(1 + (max(cpu.shares, 2) - 2) * 9999 // 262142)))
    if cpu.quota is not None or cpu.period is not None:
        files.append(("cpu.max", f"{_bound(cpu.quota or 0)} {cpu.period or 100000}"))
    if cpu.burst is not None:
        files.append(("cpu.max.burst", str(cpu.burst)))
    if cpu.idle is not None:
        files.append(("cpu.idle", str(cpu.idle)))
    return files


def _cpuset(cpu: CPU) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (("cpuset.cpus", cpu.cpus), ("cpuset.mems", cpu.mems)) if value]


def _throttles(io: BlockIO) -> Iterator[tuple[str, str, ThrottleDevice]]:
    """(version 1 file, version 2 key, device)."""
    for name, key, devices in (
        ("read_bps_device", "rbps", io.throttle_read_bps_device),
        ("write_bps_device", "wbps", io.throttle_write_bps_device),
        ("read_iops_device", "riops", io.throttle_read_iops_device),
        ("write_iops_device", "wiops", io.throttle_write_iops_device),
    ):
        for device in devices:
            yield "blkio.throttle." + name, key, device


def _blkio(io: BlockIO) -> list[tuple[str, str]]:
    # One of the two names, by the kernel's age; the other is not there and gets skipped.
    files = [(name, str(io.weight)) for name in ("blkio.weight", "blkio.bfq.weight") if io.weight]
    files += [("blkio.weight_device", f"{d.major}:{d.minor} {d.weight}") for d in io.weight_device]
    return files + [(name, f"{d.major}:{d.minor} {d.rate}") for name, _, d in _throttles(io)]


def _io(io: BlockIO) -> list[tuple[str, str]]:
    files = []
    if io.weight:
        # 10..1000 onto 1..10000.
        files.append(("io.weight", f"default {1 + (io.weight - 10) * 9999 // 990}"))
    return files + [("io.max", f"{d.major}:{d.minor} {key}={d.rate}") for _, key, d in _throttles(io)]
