"""The engine as a whole: ping, version, info, disk usage, events, credentials."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web

from firkin.api import answers, filters, shape_disk, shape_event, shape_system
from firkin.api.call import Call
from firkin.api.times import parse_seconds
from firkin.engine import system
from firkin.errors import Invalid

_PING = {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}
_EVENT_TYPES = ("application/x-ndjson", "application/jsonl", "application/json-seq")


async def ping(call: Call) -> web.StreamResponse:
    return answers.text("OK" if call.request.method == "GET" else "", **_PING)


async def version(call: Call) -> web.StreamResponse:
    return answers.json(shape_system.version(system.info(call.engine)))


async def info(call: Call) -> web.StreamResponse:
    return answers.json(shape_system.info(system.info(call.engine), call.engine.config, call.dialect))


async def prune_build_cache(call: Call) -> web.StreamResponse:
    """There is no builder yet, so nothing to free; `docker system prune` ends with this request."""
    return answers.json({"CachesDeleted": None, "SpaceReclaimed": 0})


async def disk_usage(call: Call) -> web.StreamResponse:
    wanted = frozenset(call.many("type")) or shape_disk.TYPES
    usage = await system.disk_usage(call.engine)
    return answers.json(shape_disk.disk_usage(call.engine, usage, call.dialect, wanted, verbose=call.flag("verbose")))


async def events(call: Call) -> web.StreamResponse:
    """Past events from `since`, then live ones; without `until` for ever."""
    since, until = parse_seconds("since", call.text("since")), parse_seconds("until", call.text("until"))
    if since > until > 0:
        raise Invalid(f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})")
    wanted = shape_event.wanted(call.filters(filters.EVENTS))
    kind = _negotiate(call)
    before, after = (b"\x1e", b"\n") if kind == "application/json-seq" else (b"", b"\n")
    response = await call.stream(kind)
    if until and not since and until < time.time_ns():
        return response
    async for item in call.engine.events.subscribe(since, until, wanted):
        document = shape_event.event(item, legacy=call.dialect.has_legacy_event_fields)
        await response.write(before + msgspec.json.encode(document) + after)
    return response


def _negotiate(call: Call) -> str:
    """The first type the client names of those that version 1.52 brought; plain JSON otherwise."""
    accepted = call.request.headers.get("Accept", "") if call.dialect.negotiates_event_type else ""
    return next((kind for kind in _EVENT_TYPES if kind in accepted), "application/json")
