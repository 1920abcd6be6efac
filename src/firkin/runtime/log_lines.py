"""Lines of a json-file log as entries, and which of them somebody wants.

The invariant: a line that is none of ours is left out, whatever bytes it has.
Source: moby daemon/logger/jsonfilelog/jsonlog/jsonlog.go.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal

import msgspec

from firkin.model import LogEntry, LogRequest


class _Line(msgspec.Struct):
    log: str = ""
    stream: Literal["stdout", "stderr"] = "stdout"
    attrs: dict[str, str] = {}
    time: str = ""


_decoder = msgspec.json.Decoder(_Line)


def wanted(lines: Iterable[bytes], request: LogRequest) -> Iterator[LogEntry]:
    """Those of the lines that are asked for, up to the first that is too late."""
    streams = {"stdout"} if request.stdout else set()
    if request.stderr:
        streams.add("stderr")
    for line in lines:
        try:
            decoded = _decoder.decode(line)
            when = _nanoseconds(decoded.time)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue  # not ours: a file cut by a crash of the machine
        if request.until and when > request.until:
            return
        if decoded.stream in streams and when >= request.since:
            yield LogEntry(decoded.stream, when, decoded.log.encode(), decoded.attrs)


def _nanoseconds(text: str) -> int:
    """RFC 3339 in UTC, "2026-11-23T20:47:25.471819909Z", to nanoseconds since the epoch. Raises ValueError."""
    return _seconds(text[:19]) * 1_000_000_000 + int(text[20:-1].ljust(9, "0"))


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
