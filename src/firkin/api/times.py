"""Times as Go writes them in JSON, and as clients write them in queries.

Inside, a time is nanoseconds since the epoch and 0 is none; Go's zero time is year 1.
Source: Go `time.RFC3339Nano`; moby `api/types/time/timestamp.go`.
"""

from __future__ import annotations

import functools
import re
import time

from firkin.errors import Invalid

ZERO = "0001-01-01T00:00:00Z"
_SECONDS = re.compile(r"(-?[0-9]{1,18})(?:\.([0-9]{1,9})[0-9]*)?")


@functools.lru_cache(maxsize=256)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def rfc3339(ns: int) -> str:
    """`2006-01-02T15:04:05.12Z`: as many digits as needed, the zero time for 0."""
    if not ns:
        return ZERO
    seconds, fraction = divmod(ns, 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{_to_the_second(seconds)}{digits}Z"


def rfc3339_fixed(ns: int) -> str:
    """The same with nine digits always, as log lines are stamped."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{_to_the_second(seconds)}.{fraction:09d}Z"


def parse_seconds(name: str, text: str) -> int:
    """`1136073600.000000001` -> ns; "" and "0" -> 0. Raises `Invalid` naming the parameter."""
    if not text:
        return 0
    match = _SECONDS.fullmatch(text)
    if not match:
        raise Invalid(f'invalid value for "{name}": {text!r} is not a unix time')
    return int(match[1]) * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
