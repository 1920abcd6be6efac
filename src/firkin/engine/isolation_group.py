"""A container's control groups: where the kernel has it, what limits it there and what it uses.

Version 1 and 2 name the same things differently; both are looked for, and what is not there is left out.
Source: Linux Documentation/admin-guide/cgroup-v1/*.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import os

from firkin.engine.isolation_model import Group, Limit
from firkin.linux import cgroup_bpf, cgroup_bpf_view, procfs
from firkin.linux.cgroup import Cgroups

_UNLIMITED = ("max", "-1", "")
_NO_LIMIT = 1 << 62  # version 1 says nearly 2**63 for none

# (what it is called, controller, version, file with the limit, file with the use)
_FILES = (
    ("memory", "memory", 1, "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ("memory", "memory", 2, "memory.max", "memory.current"),
    ("memory reservation", "memory", 1, "memory.soft_limit_in_bytes", ""),
    ("memory reservation", "memory", 2, "memory.low", ""),
    ("memory and swap", "memory", 1, "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes"),
    ("swap", "memory", 2, "memory.swap.max", "memory.swap.current"),
    ("processes", "pids", 1, "pids.max", "pids.current"),
    ("processes", "pids", 2, "pids.max", "pids.current"),
    ("cpu quota (us)", "cpu", 1, "cpu.cfs_quota_us", ""),
    ("cpu period (us)", "cpu", 1, "cpu.cfs_period_us", ""),
    ("cpu quota and period (us)", "cpu", 2, "cpu.max", ""),
    ("cpu shares", "cpu", 1, "cpu.shares", ""),
    ("cpu weight", "cpu", 2, "cpu.weight", ""),
    ("cpus", "cpuset", 1, "cpuset.effective_cpus", ""),
    ("cpus", "cpuset", 2, "cpuset.cpus.effective", ""),
    ("block io weight", "blkio", 1, "blkio.bfq.weight", ""),
    ("block io", "io", 2, "io.max", ""),
)


def of(pid: int, container_id: str) -> Group:
    """Of the groups that the process is in; where it has made itself one further down, of the container's above."""
    paths = procfs.groups(pid)
    cgroups = Cgroups.detect()
    places = {controller: _own(path, container_id) for controller, path in paths.items()}
    return Group(paths, tuple(_limits(cgroups, places)), _devices(cgroups, places))


def _own(path: str, container_id: str) -> str:
    above, found, _ = path.partition(container_id)
    return above + found


def _limits(cgroups: Cgroups, places: dict[str, str]) -> list[Limit]:
    found = []
    for name, controller, version, file, used in _FILES:
        place = places.get(controller if version == 1 else "")
        if place is None or cgroups.version(controller) != version or not os.path.exists(cgroups.file(place, controller, file)):
            continue
        limit = _plain(cgroups.read(place, controller, file))
        found.append(Limit(name, limit, cgroups.read(place, controller, used).strip() if used else ""))
    if (cpu := _cpu_used(cgroups, places)) is not None:
        found.append(Limit("cpu time (ns)", "", cpu))
    return found


def _plain(text: str) -> str:
    text = text.strip().replace("\n", "; ")
    return "max" if text in _UNLIMITED or (text.isdecimal() and int(text) > _NO_LIMIT) else text


def _cpu_used(cgroups: Cgroups, places: dict[str, str]) -> str | None:
    if cgroups.version("cpuacct") == 1:
        return cgroups.read(places.get("cpuacct", "/"), "cpuacct", "cpuacct.usage").strip()
    used = cgroups.table(places.get("", "/"), "cpu", "cpu.stat").get("usage_usec")
    return None if used is None else str(used * 1000)


def _devices(cgroups: Cgroups, places: dict[str, str]) -> tuple[str, ...] | None:
    """The rules in force, in the words of version 1's devices.list."""
    version = cgroups.version("devices")
    if version == 1 and "devices" in places:
        return tuple(cgroups.read(places["devices"], "devices", "devices.list").splitlines())
    rules = cgroup_bpf_view.device_rules(cgroups.file(places[""], "devices", "")) if version == 2 else None
    return None if rules is None else tuple(map(_words, rules))


def _words(rule: cgroup_bpf.Rule) -> str:
    """Which has none for a refusal within what is allowed."""
    allow, kind, major, minor, access = rule
    numbers = ":".join("*" if number < 0 else str(number) for number in (major, minor))
    return f"{'' if allow else 'not '}{kind} {numbers} {access}"
