"""`firkin-oci events`: what a container uses, once or every few seconds, and when it runs out of memory. One JSON a line.

Source: runc events.go, types/events.go.
"""

from __future__ import annotations

import time

from firkin.errors import Conflict, Invalid
from firkin.runtime.oci import flags, show, usage, usage_caches
from firkin.runtime.oci.record import STOPPED, Directory, alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    ("interval", flags.TEXT, "", "how often to collect figures, as in 5s (the default)"),
    ("stats", flags.SWITCH, "", "display the container's figures once, then exit"),
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_GLANCE = 0.2  # seconds between two looks for an out-of-memory kill


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    interval = _seconds(context.options.text("interval", "5s"))
    record = directory.load()
    if directory.status(record) == STOPPED:
        raise Conflict(f"container with id {record.id} is not running")
    config = directory.config()
    _show_stats(config, record)
    if not context.options.on("stats"):
        _watch(config, record, interval)
    return 0


def _watch(config: Config, record: Record, interval: float) -> None:
    """Until it ends."""
    killed, due = record.cgroups.oom_kills(record.cgroup_path), time.monotonic() + interval
    while alive(record):
        time.sleep(min(_GLANCE, interval))
        now = record.cgroups.oom_kills(record.cgroup_path)
        if now > killed:
            killed = now
            show.line({"type": "oom", "id": record.id})
        if time.monotonic() >= due and alive(record):
            due += interval
            _show_stats(config, record)


def _show_stats(config: Config, record: Record) -> None:
    caches = usage_caches.figures(config, record)
    show.line({"type": "stats", "id": record.id, "data": usage.figures(record.cgroups, record.cgroup_path, caches)})


def _seconds(text: str) -> float:
    """ "5s", "500ms", "1m"."""
    number = text.rstrip("hms")
    try:
        seconds = float(number) * _UNITS[text.removeprefix(number)]
    except (ValueError, KeyError):
        raise Invalid(f'invalid value "{text}" for flag -interval: parse error') from None
    if seconds <= 0:
        raise Invalid("duration interval must be greater than 0")
    return seconds
