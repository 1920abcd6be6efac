"""What a container's group has used, in the shape of runc's `events`.

Source: runc types/events.go; kernel cgroup-v1/*.rst, cgroup-v2.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.linux.cgroup import Cgroups

_LARGEST = (1 << 64) - 1
_TICK = 10_000_000  # ns: cpuacct.stat counts hundredths of a second
_BLKIO = {
    "ioServiceBytesRecursive": ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"),
    "ioServicedRecursive": ("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"),
}


def figures(cgroups: Cgroups, path: str) -> dict[str, object]:
    """Times in nanoseconds, sizes in bytes."""
    first = cgroups.version("memory") == 1
    return {
        "cpu": _cpu_v1(cgroups, path) if cgroups.version("cpuacct") == 1 else _cpu_v2(cgroups, path),
        "memory": _memory_v1(cgroups, path) if first else _memory_v2(cgroups, path),
        "pids": {"current": _number(cgroups, path, "pids", "pids.current"), **_limit(cgroups, path, "pids", "pids.max")},
        "blkio": _blkio(cgroups, path),
        "hugetlb": _hugetlb(cgroups, path),
        "intel_rdt": {},
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
    usage = {
        "total": _number(cgroups, path, "cpuacct", "cpuacct.usage"),
        "percpu": each,
        "kernel": stat.get("system", 0) * _TICK,
        "user": stat.get("user", 0) * _TICK,
    }
    return {"usage": usage, "throttling": _throttling(throttled, throttled.get("throttled_time", 0))}


def _cpu_v2(cgroups: Cgroups, path: str) -> dict[str, object]:
    stat = cgroups.table(path, "cpu", "cpu.stat")
    names = {"total": "usage_usec", "kernel": "system_usec", "user": "user_usec"}
    usage = {word: stat.get(key, 0) * 1000 for word, key in names.items()}
    return {"usage": usage, "throttling": _throttling(stat, stat.get("throttled_usec", 0) * 1000)}


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
    return {"cache": raw.get("file", 0), **entries, "raw": raw}


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


def _blkio(cgroups: Cgroups, path: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for word, names in _BLKIO.items():
        text = next(filter(None, (cgroups.read(path, "blkio", name) for name in names)), "")
        rows = [line.replace(":", " ").split() for line in text.splitlines()]
        found[word] = [
            {"major": int(row[0]), "minor": int(row[1]), "op": row[2], "value": int(row[3])} for row in rows if len(row) == 4
        ]
    return found
