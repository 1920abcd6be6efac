"""What a container's group has used, in the shape of runc's `events`.

Source: runc types/events.go; kernel cgroup-v1/*.rst, cgroup-v2.rst.
"""

from __future__ import annotations

from firkin.linux import pressure
from firkin.oci import number_list
from firkin.runtime.oci import usage_io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.linux.cgroup import Cgroups

_LARGEST = (1 << 64) - 1
_TICK = 10_000_000  # ns: cpuacct.stat counts hundredths of a second
_FLAGS_OF_SETS = (
    "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip


def figures(cgroups: Cgroups, path: str, caches: dict[str, object]) -> dict[str, object]:
    """Times in nanoseconds, sizes in bytes. `caches`: those of `usage_caches`."""
    first = cgroups.version("memory") == 1
    return {
        "cpu": _cpu_v1(cgroups, path) if cgroups.version("cpuacct") == 1 else _cpu_v2(cgroups, path),
        "cpuset": _sets(cgroups, path),
        "memory": _memory_v1(cgroups, path) if first else _memory_v2(cgroups, path),
        "pids": {"current": _number(cgroups, path, "pids", "pids.current"), **_limit(cgroups, path, "pids", "pids.max")},
        "blkio": usage_io.figures(cgroups, path) | _pressure(cgroups, path, "io"),
        "hugetlb": _hugetlb(cgroups, path),
        "intel_rdt": caches,
        "network_interfaces": None,
    }


def _number(cgroups: Cgroups, path: str, controller: str, name: str) -> int:
    text = cgroups.read(path, controller, name).strip()
    return int(text) if text.isdigit() else 0


def _limit(cgroups: Cgroups, path: str, controller: str, name: str) -> dict[str, int]:
    """Absent when there is none."""
    number = _number(cgroups, path, controller, name)
    return {"limit": number} if number else {}


def _most(cgroups: Cgroups, path: str, name: str) -> dict[str, int]:
    """Of memory, "max" is the largest number there is, as version 1 has it."""
    return {"limit": _LARGEST} if cgroups.read(path, "memory", name).strip() == "max" else _limit(cgroups, path, "memory", name)


def _cpu_v1(cgroups: Cgroups, path: str) -> dict[str, object]:
    stat, throttled = cgroups.table(path, "cpuacct", "cpuacct.stat"), cgroups.table(path, "cpu", "cpu.stat")
    each = [int(word) for word in cgroups.read(path, "cpuacct", "cpuacct.usage_percpu").split()]
    kinds = [line.split() for line in cgroups.read(path, "cpuacct", "cpuacct.usage_all").splitlines()[1:]]
    usage = {
        "total": _number(cgroups, path, "cpuacct", "cpuacct.usage"),
        "percpu": each,
        **({"percpu_kernel": [int(row[2]) for row in kinds], "percpu_user": [int(row[1]) for row in kinds]} if kinds else {}),
        "kernel": stat.get("system", 0) * _TICK,
        "user": stat.get("user", 0) * _TICK,
    }
    return {"usage": usage, "throttling": _throttling(throttled, throttled.get("throttled_time", 0))}


def _cpu_v2(cgroups: Cgroups, path: str) -> dict[str, object]:
    stat = cgroups.table(path, "cpu", "cpu.stat")
    names = {"total": "usage_usec", "kernel": "system_usec", "user": "user_usec"}
    usage = {word: stat.get(key, 0) * 1000 for word, key in names.items()}
    return {"usage": usage, "throttling": _throttling(stat, stat.get("throttled_usec", 0) * 1000)} | _pressure(
        cgroups, path, "cpu"
    )


def _sets(cgroups: Cgroups, path: str) -> dict[str, object]:
    """Which processors and memory nodes; version 2 has no flags, and as with runc its lists are not here."""
    first = cgroups.version("cpuset") == 1
    text = {
        name: cgroups.read(path, "cpuset", f"cpuset.{name}").strip() if first else ""
        for name in ("cpus", "mems", *_FLAGS_OF_SETS)
    }
    lists = {name: number_list.parse(text[name], f"cpuset.{name}") for name in ("cpus", "mems") if text[name]}
    return lists | {name: int(text[name] or 0) for name in _FLAGS_OF_SETS}


def _pressure(cgroups: Cgroups, path: str, controller: str) -> dict[str, object]:
    """How long processes had to wait, where the kernel counts that (PSI); version 2 only."""
    text = cgroups.read(path, controller, f"{controller}.pressure") if cgroups.version(controller) == 2 else ""
    found = {kind: row for kind, row in pressure.parse(text).items() if any(row.values())}
    return {"psi": found} if text else {}


def _throttling(stat: dict[str, int], time: int) -> dict[str, int]:
    found = {"periods": stat.get("nr_periods", 0), "throttledPeriods": stat.get("nr_throttled", 0), "throttledTime": time}
    return {word: number for word, number in found.items() if number}


def _memory_v1(cgroups: Cgroups, path: str) -> dict[str, object]:
    raw = cgroups.table(path, "memory", "memory.stat")
    entries = {"usage": "memory", "swap": "memory.memsw", "kernel": "memory.kmem", "kernelTCP": "memory.kmem.tcp"}
    found: dict[str, object] = {"cache": raw.get("total_cache", 0)}
    found.update((word, _entry(cgroups, path, prefix)) for word, prefix in entries.items())
    return {**found, "raw": raw}


def _entry(cgroups: Cgroups, path: str, prefix: str) -> dict[str, int]:
    files = {"limit": "limit_in_bytes", "usage": "usage_in_bytes", "max": "max_usage_in_bytes", "failcnt": "failcnt"}
    return {word: _number(cgroups, path, "memory", f"{prefix}.{name}") for word, name in files.items()}


def _memory_v2(cgroups: Cgroups, path: str) -> dict[str, object]:
    raw = cgroups.table(path, "memory", "memory.stat")
    entries = {
        word: {"usage": _number(cgroups, path, "memory", used), **_most(cgroups, path, most)}
        for word, used, most in (("usage", "memory.current", "memory.max"), ("swap", "memory.swap.current", "memory.swap.max"))
    }
    return {"cache": raw.get("file", 0), **entries, "raw": raw, **_pressure(cgroups, path, "memory")}


def _hugetlb(cgroups: Cgroups, path: str) -> dict[str, object]:
    """By the pages' size, as in the files' names: hugetlb.2MB.current."""
    first = cgroups.version("hugetlb") == 1
    used = ".usage_in_bytes" if first else ".current"
    found: dict[str, object] = {}
    for file in cgroups.files(path, "hugetlb"):
        prefix, size = file.removesuffix(used), file.removesuffix(used).removeprefix("hugetlb.")
        if file == f"hugetlb.{size}{used}" and "." not in size:  # what is reserved has figures of its own
            amounts = {"usage": _number(cgroups, path, "hugetlb", file)}
            if first:
                amounts["max"] = _number(cgroups, path, "hugetlb", prefix + ".max_usage_in_bytes")
                failures = _number(cgroups, path, "hugetlb", prefix + ".failcnt")
            else:
                failures = cgroups.table(path, "hugetlb", prefix + ".events").get("max", 0)
            found[size] = {**{word: number for word, number in amounts.items() if number}, "failcnt": failures}
    return found
