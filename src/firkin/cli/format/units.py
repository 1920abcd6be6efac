"""Sizes and times as docker prints them (docker/go-units; Go's `time.Time.String`)."""

from __future__ import annotations

import time

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_HOURS = ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months"))


def size(count: float, digits: int = 4) -> str:
    """`1.234MB`: thousands, `digits` significant ones."""
    return _scaled(count, 1000, _DECIMAL, digits)


def binary_size(count: float) -> str:
    """`1.205MiB`: powers of 1024."""
    return _scaled(count, 1024, _BINARY, 4)


def _scaled(count: float, base: int, units: tuple[str, ...], digits: int) -> str:
    step = 0
    while count >= base and step < len(units) - 1:
        count /= base
        step += 1
    return f"{count:.{digits}g}{units[step]}"


def duration(seconds: float) -> str:
    """`Less than a second`, `About an hour`, `3 weeks`, ..."""
    if seconds < 60:
        whole = int(seconds)
        return "Less than a second" if whole < 1 else "1 second" if whole == 1 else f"{whole} seconds"
    minutes, hours = int(seconds / 60), int(seconds / 3600 + 0.5)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for limit, divisor, name in _HOURS:
        if hours < limit:
            return f"{hours // divisor} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(since: float) -> str:
    """How long ago the Unix time `since` was."""
    return duration(time.time() - since) + " ago"


def timestamp(when: float) -> str:
    """A Unix time in the local zone: `2006-01-02 15:04:05 -0700 MST`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(when))


def rfc3339(when: float, decimals: str = "") -> str:
    """A Unix time in the local zone: `2006-01-02T15:04:05Z`; `decimals` (`.000000000`) follow the seconds."""
    local = time.localtime(when)
    zone = time.strftime("%z", local)
    offset = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + decimals + offset


def go_time(text: str) -> str:
    """An RFC 3339 time of the API as Go prints one: `2006-01-02 15:04:05.999 +0000 UTC`."""
    date, _, rest = text.partition("T")
    clock = rest[: len(rest.rstrip("Z").split("+")[0].split("-")[0])]
    zone = rest[len(clock) :].replace(":", "")
    return f"{date} {clock} " + ("+0000 UTC" if zone == "Z" else f"{zone} {zone}")


def query_time(text: str) -> str:
    """`--since` and `--until` as the API takes them: a Unix time. Relative values (`10m`) count back from now."""
    from firkin.cli import kinds

    if not text or text.replace(".", "", 1).isdecimal():
        return text
    try:
        return f"{time.time() - kinds.duration(text) / 1e9:.9f}"
    except ValueError:
        pass
    try:
        return f"{_local_time(text):.9f}"
    except ValueError:
        from firkin.cli.errors import Failure

        raise Failure(f'failed to parse value as time or duration: "{text}"') from None


def _local_time(text: str) -> float:
    """A date, or a date and a time, in the local zone unless it names one."""
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
