"""From control files to the properties that systemd knows them by, so that it does not undo them when it next sets a unit up
anew (`systemctl daemon-reload`). Pure.

The files are still written; what systemd has no property for, or takes in another form only, is left to that.
Source: systemd.resource-control(5), org.freedesktop.systemd1(5); runc docs/systemd.md.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from firkin.linux.systemd import Property
    from firkin.runtime.cgroup_settings import Setting

_NUMBERS = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "memory.limit_in_bytes": "MemoryLimit",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
    "cpu.shares": "CPUShares",
    "io.weight": "IOWeight",
    "blkio.weight": "BlockIOWeight",
}
_MAY_BE_ZERO = ("memory.low", "memory.min", "memory.swap.max")
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
_INFINITE = (1 << 64) - 1
_USUAL_PERIOD, _SECOND = 100_000, 1_000_000  # µs
_PERCENT = _SECOND // 100  # in which systemd counts
_LARGEST = 8191  # processor or memory node


def of_settings(settings: Iterable[Setting]) -> list[Property]:
    """In their order: of two for one file the last counts, there as here."""
    found: list[Property] = []
    quota = period = ""
    for _, name, value in settings:
        if name in _NUMBERS:
            found += _number(name, value)
        elif name in _SETS:
            found += _set(name, value)
        elif name == "cpu.max":
            quota, _, period = value.partition(" ")
        elif name == "cpu.cfs_quota_us":
            quota = value
        elif name == "cpu.cfs_period_us":
            period = value
    return found + list(_quota(quota, period))


def _number(name: str, value: str) -> list[Property]:
    word = value.removeprefix("default ").strip()
    if word in ("max", "-1"):
        number = _INFINITE
    elif word.isdecimal() and (int(word) or name in _MAY_BE_ZERO):
        number = int(word)
    else:
        return []
    return [(_NUMBERS[name], ("t", number))]


def _quota(quota: str, period: str) -> Iterator[Property]:
    """Of one processor, in a second, rounded up to a percent."""
    length = int(period) if period.isdecimal() and int(period) else 0
    if length:
        yield "CPUQuotaPeriodUSec", ("t", length)
    if quota in ("max", "-1"):
        yield "CPUQuotaPerSecUSec", ("t", _INFINITE)
    elif quota.isdecimal() and int(quota):
        share = int(quota) * _SECOND // (length or _USUAL_PERIOD)
        yield "CPUQuotaPerSecUSec", ("t", -(-share // _PERCENT) * _PERCENT)


def _set(name: str, value: str) -> list[Property]:
    """A list as in "0-2,7" as a mask, the lowest eight first."""
    mask = 0
    for part in filter(None, value.strip().split(",")):
        first, _, last = part.partition("-")
        last = last or first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= _LARGEST):
            return []
        mask |= (2 << int(last)) - (1 << int(first))
    return [(_SETS[name], ("ay", mask.to_bytes((mask.bit_length() + 7) // 8, "little")))] if mask else []
