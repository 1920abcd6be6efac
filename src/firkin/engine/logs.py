"""Logs: what a container has written, from its json-file log, and what it goes on writing.

Source: Docker Engine API, `GET /containers/{id}/logs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote_plus

from firkin.engine.engine import Engine
from firkin.engine.states import is_up
from firkin.errors import Invalid, Unsupported
from firkin.model import LogEntry, LogRequest
from firkin.runtime import logfile


async def read(engine: Engine, ref: str, request: LogRequest) -> AsyncIterator[LogEntry]:
    """The entries asked for; with `follow` until the container is down and all has been read."""
    entry = engine.containers.find(ref)
    if not (request.stdout or request.stderr):
        raise Invalid("Bad parameters: you must choose at least one stream")
    if entry.record.host.log_config.type == "none":
        raise Unsupported("configured logging driver does not support reading")
    path = engine.layout.container_log(entry.id)
    if not request.follow:
        return logfile.read(path, request)
    return logfile.follow(path, request, lambda: not is_up(entry.record))


def details(entry: LogEntry) -> str:
    """What the log options had written beside the line: "KEY=VALUE,..." in the order of the keys."""
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(entry.attributes.items()))
