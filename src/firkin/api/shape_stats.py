"""One sample of a container's accounts, beside the one before it: Docker's `ContainerStatsResponse`."""

from __future__ import annotations

from typing import Any

from firkin.api.times import ZERO, rfc3339
from firkin.model import IoCount, Stats

_BLKIO_ABSENT = (  # what only the CFQ scheduler of old kernels counted
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)
_NO_CPU = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}


def stats(container_id: str, name: str, now: Stats, before: Stats | None, *, os_type: bool) -> dict[str, Any]:
    """`before` gives the `precpu` half, from which clients compute a percentage."""
    document: dict[str, Any] = {
        "id": container_id,
        "name": "/" + name,
        "read": rfc3339(now.time),
        "preread": rfc3339(before.time) if before else ZERO,
        "pids_stats": _pids(now),
        "blkio_stats": {
            "io_service_bytes_recursive": _io(now.io_bytes),
            "io_serviced_recursive": _io(now.io_operations),
            **{key: [] for key in _BLKIO_ABSENT},
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before) if before else _NO_CPU,
        "memory_stats": _memory(now),
    }
    if now.interfaces:
        document["networks"] = {name: _interface(counts) for name, counts in now.interfaces.items()}
    if now.pressure:
        document["pressure_stats"] = now.pressure  # Firkin's own
    if os_type:
        document["os_type"] = "linux"
    return document


def _pids(sample: Stats) -> dict[str, int]:
    return {key: n for key, n in (("current", sample.pids_current), ("limit", sample.pids_limit)) if n}


def _io(counts: tuple[IoCount, ...]) -> list[dict[str, Any]]:
    return [{"major": c.major, "minor": c.minor, "op": c.operation, "value": c.value} for c in counts]


def _cpu(sample: Stats) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "total_usage": sample.cpu_total,
        "usage_in_kernelmode": sample.cpu_kernel,
        "usage_in_usermode": sample.cpu_user,
    }
    if sample.cpu_each:
        usage["percpu_usage"] = list(sample.cpu_each)
    return {
        "cpu_usage": usage,
        "system_cpu_usage": sample.system_cpu,
        "online_cpus": sample.online_cpus,
        "throttling_data": {
            "periods": sample.periods,
            "throttled_periods": sample.throttled_periods,
            "throttled_time": sample.throttled_time,
        },
    }


def _memory(sample: Stats) -> dict[str, Any]:
    if not sample.memory_limit:
        return {}
    memory: dict[str, Any] = {"usage": sample.memory_usage, "stats": sample.memory_detail, "limit": sample.memory_limit}
    if sample.memory_max:
        memory["max_usage"] = sample.memory_max
    if sample.memory_failures:
        memory["failcnt"] = sample.memory_failures
    return memory


def _interface(counts: Any) -> dict[str, int]:
    names = ("bytes", "packets", "errors", "dropped")
    return {f"{way}_{name}": getattr(counts, f"{way}_{name}") for way in ("rx", "tx") for name in names}
