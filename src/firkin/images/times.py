"""Moments as image configurations and filters write them: RFC 3339 text, or how long ago; here always nanoseconds."""

from __future__ import annotations

import calendar
import re
import time
from datetime import UTC, datetime

from firkin.errors import Invalid

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_EARLIEST, _LATEST = -62135596800, 253402300799  # the years 1 and 9999, seconds
_LONGEST = 100  # characters; more digits than that are no time
_AGO = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")


def parse_time(text: str) -> int:
    """RFC 3339 as nanoseconds since the epoch, 0 when there is none (image configurations are other people's words)."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)?", text)
    if not match:
        return 0
    try:
        seconds = calendar.timegm(datetime.fromisoformat(match[1].upper()).timetuple())
    except ValueError:
        return 0
    zone = match[3] or "Z"
    if zone not in "Zz":
        seconds -= (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
    if not _EARLIEST <= seconds <= _LATEST:
        return 0
    return seconds * 1_000_000_000 + int((match[2] or "0")[:9].ljust(9, "0"))


def format_time(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nanoseconds, as Docker writes `created`."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def parse_moment(text: str) -> int:
    """A moment in nanoseconds: RFC 3339, a date, seconds since the epoch, or how long ago (`24h`, `1h30m`)."""
    if len(text) > _LONGEST:
        raise Invalid(f"invalid value for filter 'until': {len(text)} characters")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return int(float(text) * 1e9)
    if text and not _AGO.sub("", text):
        ago = sum(float(number) * _UNITS[unit] for number, unit in _AGO.findall(text))
        return time.time_ns() - int(ago * 1e9)
    moment = parse_time(text if "T" in text else f"{text}T00:00:00Z")
    if not moment:
        raise Invalid(f"invalid value for filter 'until': {text!r}")
    return moment
