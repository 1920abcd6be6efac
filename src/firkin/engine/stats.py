"""Stats: one sample of what a container has used, from its cgroup and its network interfaces.

Source: Docker Engine API, `GET /containers/{id}/stats`; cgroups v1 and v2 kernel documentation.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

from firkin.engine.engine import Engine
from firkin.linux import pressure
from firkin.linux.cgroup import Cgroups
from firkin.model import InterfaceStats, IoCount, Stats

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_NO_LIMIT = 1 << 62  # version 1 says "unlimited" with a huge number of pages


def sample(engine: Engine, ref: str) -> Stats:
    """The present figures; of a container that is down, zeros with a time."""
    live = engine.containers.find(ref).live
    system_cpu, online, memory_total = _host()
    now = time.time_ns()
    if live is None:
        return Stats(now, online, system_cpu)
    cgroups, path = engine.cgroups, live.cgroup
    stats = Stats(
        now,
        online,
        system_cpu,
        pids_current=_number(cgroups.read(path, "pids", "pids.current")),
        pids_limit=_number(cgroups.read(path, "pids", "pids.max")),
        interfaces=_interfaces(live.pid),
        pressure=_pressure(cgroups, path),
    )
    return _with_io(_with_memory(_with_cpu(stats, cgroups, path), cgroups, path, memory_total), cgroups, path)


def _number(text: str) -> int:
    text = text.strip()
    return int(text) if text.isdigit() else 0


def _host() -> tuple[int, int, int]:
    """(CPU time of the whole host in ns, processors online, bytes of memory)."""
    with open("/proc/stat", encoding="ascii") as file:
        busy = file.readline().split()[1:8]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sum(map(int, busy)) * _TICK, os.cpu_count() or 1, memory


def _with_cpu(stats: Stats, cgroups: Cgroups, path: str) -> Stats:
    stat = cgroups.table(path, "cpu", "cpu.stat")
    if cgroups.version("cpuacct") == 1:
        ticks = cgroups.table(path, "cpuacct", "cpuacct.stat")
        return replace(
            stats,
            cpu_total=_number(cgroups.read(path, "cpuacct", "cpuacct.usage")),
            cpu_each=tuple(map(int, cgroups.read(path, "cpuacct", "cpuacct.usage_percpu").split())),
            cpu_user=ticks.get("user", 0) * _TICK,
            cpu_kernel=ticks.get("system", 0) * _TICK,
            periods=stat.get("nr_periods", 0),
            throttled_periods=stat.get("nr_throttled", 0),
            throttled_time=stat.get("throttled_time", 0),
        )
    return replace(
        stats,
        cpu_total=stat.get("usage_usec", 0) * 1000,
        cpu_user=stat.get("user_usec", 0) * 1000,
        cpu_kernel=stat.get("system_usec", 0) * 1000,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_time=stat.get("throttled_usec", 0) * 1000,
    )


def _with_memory(stats: Stats, cgroups: Cgroups, path: str, total: int) -> Stats:
    first = cgroups.version("memory") == 1
    usage, limit = ("memory.usage_in_bytes", "memory.limit_in_bytes") if first else ("memory.current", "memory.max")
    bound = _number(cgroups.read(path, "memory", limit))
    return replace(
        stats,
        memory_usage=_number(cgroups.read(path, "memory", usage)),
        memory_max=_number(cgroups.read(path, "memory", "memory.max_usage_in_bytes")) if first else 0,
        memory_limit=bound if 0 < bound < min(_NO_LIMIT, total) else total,
        memory_failures=_number(cgroups.read(path, "memory", "memory.failcnt")) if first else _ooms(cgroups, path),
        memory_detail=cgroups.table(path, "memory", "memory.stat"),
    )


def _ooms(cgroups: Cgroups, path: str) -> int:
    """What Docker counts as failures in version 2: how often the limit could not be kept by reclaiming."""
    return cgroups.table(path, "memory", "memory.events").get("oom", 0)


def _pressure(cgroups: Cgroups, path: str) -> dict[str, dict[str, dict[str, float]]]:
    """By kind; empty in version 1 and where the kernel does not keep these accounts."""
    if not cgroups.unified:
        return {}
    # The cgroup core's own files: they are there whether or not the controller of that name is.
    found = {kind: pressure.parse(cgroups.read(path, "freezer", kind + ".pressure")) for kind in pressure.KINDS}
    return {kind: lines for kind, lines in found.items() if lines}


def _with_io(stats: Stats, cgroups: Cgroups, path: str) -> Stats:
    if cgroups.version("blkio") == 1:
        return replace(
            stats,
            io_bytes=_io_rows(cgroups.read(path, "blkio", "blkio.throttle.io_service_bytes_recursive")),
            io_operations=_io_rows(cgroups.read(path, "blkio", "blkio.throttle.io_serviced_recursive")),
        )
    text = cgroups.read(path, "io", "io.stat")
    return replace(
        stats,
        io_bytes=_io_pairs(text, {"rbytes": "read", "wbytes": "write"}),
        io_operations=_io_pairs(text, {"rios": "read", "wios": "write"}),
    )


def _device(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(":")
    return int(major), int(minor)


def _io_rows(text: str) -> tuple[IoCount, ...]:
    """Version 1: lines of `MAJOR:MINOR Operation value` (and a total without a device, left out)."""
    rows = (line.split() for line in text.splitlines())
    return tuple(IoCount(*_device(row[0]), row[1].lower(), int(row[2])) for row in rows if len(row) == 3)


def _io_pairs(text: str, names: dict[str, str]) -> tuple[IoCount, ...]:
    """Version 2: lines of `MAJOR:MINOR key=value ...`."""
    found = []
    for line in text.splitlines():
        device, *pairs = line.split()
        if ":" not in device:
            continue
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        found += [IoCount(*_device(device), op, int(values[key])) for key, op in names.items() if key in values]
    return tuple(found)


def _interfaces(pid: int) -> dict[str, InterfaceStats]:
    """/proc/PID/net/dev as the container's network namespace shows it; the loopback interface is left out."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            lines = file.read().splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, figures = line.partition(":")
        n = list(map(int, figures.split()))
        if name.strip() != "lo":
            found[name.strip()] = InterfaceStats(n[0], n[1], n[2], n[3], n[8], n[9], n[10], n[11])
    return found
