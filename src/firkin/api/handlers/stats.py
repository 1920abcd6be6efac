"""Statistics, once or every second."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.api.shape_stats import stats as shape
from firkin.engine import listing, stats
from firkin.errors import NotFound
from firkin.model import Container, Stats

_INTERVAL = 1.0  # seconds, as clients expect


async def stats_(call: Call) -> web.StreamResponse:
    record = listing.find(call.engine, call.params["id"])
    if call.flag("stream", True):
        return await _stream(call, record)
    before = None
    if not call.flag("one-shot") and record.state.pid:
        before = stats.sample(call.engine, record.id)
        await asyncio.sleep(_INTERVAL)
    now = stats.sample(call.engine, record.id)
    return answers.json(shape(record.id, record.name, now, before, os_type=call.dialect.has_stats_os_type))


async def _stream(call: Call, record: Container) -> web.StreamResponse:
    """Until the client leaves or the container is removed."""
    response = await call.stream("application/json")
    before: Stats | None = None
    while True:
        try:
            now = stats.sample(call.engine, record.id)
        except NotFound:
            return response
        document = shape(record.id, record.name, now, before, os_type=call.dialect.has_stats_os_type)
        await response.write(msgspec.json.encode(document) + b"\n")
        before = now
        await asyncio.sleep(_INTERVAL)
