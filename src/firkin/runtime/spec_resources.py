"""Docker's resource options as the cgroup limits of an OCI configuration. Validation and warnings are the verbs'.

Source: moby daemon/daemon_unix.go (getMemoryResources, getCPUResources, getPidsLimit, adaptContainerSettings).
"""

from __future__ import annotations

from firkin import model
from firkin.oci.runtime_resources import CPU, BlockIO, DeviceRule, Memory, Pids, Resources

NANO_CPU_PERIOD = 100_000  # microseconds; the kernel's default


def resources(wanted: model.Resources, rules: tuple[DeviceRule, ...], block_io: BlockIO | None) -> Resources:
    """The limits `wanted`; device `rules` and `block_io` are resolved already, for they name nodes of this host."""
    return Resources(
        devices=rules,
        memory=memory(wanted),
        cpu=cpu(wanted),
        pids=None if wanted.pids_limit is None else Pids(wanted.pids_limit if wanted.pids_limit > 0 else -1),
        block_io=block_io,
        unified=wanted.cgroup_conf,
    )


def memory(wanted: model.Resources) -> Memory | None:
    """Swap that is not given is as much again as the memory."""
    swap = wanted.memory_swap or wanted.memory * 2
    limits = Memory(
        limit=wanted.memory or None,
        reservation=wanted.memory_reservation or None,
        swap=swap or None,
        kernel_tcp=wanted.kernel_memory_tcp or None,
        swappiness=wanted.memory_swappiness if wanted.memory_swappiness not in (None, -1) else None,
        disable_oom_killer=wanted.oom_kill_disable,
    )
    return limits if limits != Memory() else None


def cpu(wanted: model.Resources) -> CPU | None:
    """`--cpus` is a quota of the default period; an explicit period or quota wins."""
    by_cpus = wanted.nano_cpus > 0
    limits = CPU(
        shares=wanted.cpu_shares or None,
        quota=wanted.cpu_quota or (wanted.nano_cpus * NANO_CPU_PERIOD // 1_000_000_000 if by_cpus else None),
        period=wanted.cpu_period or (NANO_CPU_PERIOD if by_cpus else None),
        realtime_runtime=wanted.cpu_realtime_runtime or None,
        realtime_period=wanted.cpu_realtime_period or None,
        cpus=wanted.cpuset_cpus,
        mems=wanted.cpuset_mems,
    )
    return limits if limits != CPU() else None
