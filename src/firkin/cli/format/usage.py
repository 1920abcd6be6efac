"""The fields of `stats`: what a container uses, computed from the API's counters as docker's client does."""

from __future__ import annotations

from firkin.cli.format import units
from firkin.cli.names import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Item = dict[str, Any]

COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
NONE = "--"


def summary(name: str, sample: Item, previous: Item | None = None) -> Item:
    """One row. The share of CPU needs an earlier sample: `previous`, or the one inside `sample`."""
    before = previous["cpu_stats"] if previous else sample.get("precpu_stats") or {}
    memory, limit = _memory(sample.get("memory_stats") or {})
    networks = list((sample.get("networks") or {}).values())
    blocks = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    return {
        "container": name,
        "name": sample.get("name", "").removeprefix("/"),
        "id": sample.get("id", name),
        "cpu": _percent(_cpu(before, sample["cpu_stats"])),
        "memory": f"{units.binary_size(memory)} / {units.binary_size(limit)}",
        "share": _percent(memory / limit * 100 if limit else 0.0),
        "network": _pair(sum(n["rx_bytes"] for n in networks), sum(n["tx_bytes"] for n in networks)),
        "block": _pair(_sum(blocks, "r"), _sum(blocks, "w")),
        "pressure": _pressure(sample.get("pressure_stats") or {}),
        "pids": str((sample.get("pids_stats") or {}).get("current", 0)),
    }


def nothing(name: str) -> Item:
    """The row of a container of which nothing is known."""
    keys = ("name", "cpu", "share", "network", "block", "pids", "pressure")
    return {"container": name, "id": name, "memory": f"{NONE} / {NONE}", **dict.fromkeys(keys, NONE)}


def _cpu(before: Item, now: Item) -> float:
    """Per cent of one CPU between two samples."""
    used = now["cpu_usage"]["total_usage"] - (before.get("cpu_usage") or {}).get("total_usage", 0)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cpus = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or ())
    return used / passed * cpus * 100 if used > 0 and passed > 0 else 0.0


def _memory(stats: Item) -> tuple[float, float]:
    """(used without the page cache that could go at once, limit); cgroup v1 and v2 name that cache differently."""
    used, details = stats.get("usage", 0), stats.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return used - cache if cache < used else used, stats.get("limit", 0)


def _pressure(stats: Item) -> str:
    """For how much of the last ten seconds some process had to wait for a processor, for memory, for the disk."""
    kinds = (stats.get(kind, {}).get("some") for kind in ("cpu", "memory", "io"))
    return " / ".join(_percent(some["avg10"]) if some else NONE for some in kinds)


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _pair(first: float, second: float) -> str:
    return f"{units.size(first, 3)} / {units.size(second, 3)}"


def _sum(entries: list[Item], letter: str) -> int:
    return sum(entry["value"] for entry in entries if entry["op"][:1].lower() == letter)


FIELDS: dict[str, tuple[str, Any]] = {
    "BlockIO": ("BLOCK I/O", lambda item, trunc: item["block"]),
    "CPUPerc": ("CPU %", lambda item, trunc: item["cpu"]),
    "Container": ("CONTAINER", lambda item, trunc: item["container"]),
    "ID": ("CONTAINER ID", lambda item, trunc: short_id(item["id"]) if trunc else item["id"]),
    "MemPerc": ("MEM %", lambda item, trunc: item["share"]),
    "MemUsage": ("MEM USAGE / LIMIT", lambda item, trunc: item["memory"]),
    "Name": ("NAME", lambda item, trunc: item["name"]),
    "NetIO": ("NET I/O", lambda item, trunc: item["network"]),
    "PIDs": ("PIDS", lambda item, trunc: item["pids"]),
    "Pressure": ("PRESSURE CPU / MEM / I/O", lambda item, trunc: item["pressure"]),  # Firkin's own
}
