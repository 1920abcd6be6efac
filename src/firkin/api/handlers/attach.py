"""Attach to a container's streams, and read its log."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from firkin.api import streams
from firkin.api.call import Call
from firkin.api.times import parse_seconds, rfc3339_fixed
from firkin.engine import attach, listing, logs
from firkin.engine.streams import Streams
from firkin.errors import Invalid, Unsupported
from firkin.model import AttachRequest, LogEntry, LogRequest

_NUMBER = {"stdout": 1, "stderr": 2}


async def attach_(call: Call) -> web.StreamResponse:
    wanted = AttachRequest(
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        stream=call.flag("stream"),
        logs=call.flag("logs"),
        detach_keys=call.text("detachKeys"),
    )
    past = await _past(call, wanted) if wanted.logs and (wanted.stdout or wanted.stderr) else None
    attached = await attach.attach(call.engine, call.params["id"], wanted)

    async def streams_at_once() -> Streams:
        return attached

    return await streams.serve(call, streams_at_once(), attached.tty, _until(call, wanted), past)


def _until(call: Call, wanted: AttachRequest) -> streams.Until:
    """The client's end of input ends the attachment, as dockerd does it, unless it ends the container's input too."""
    if not wanted.stream or not (wanted.stdin and wanted.stdout | wanted.stderr):
        return "input" if wanted.stream and wanted.stdin else "output"
    config = listing.find(call.engine, call.params["id"]).config
    return "output" if config.stdin_once and not config.tty else "either"


async def _past(call: Call, wanted: AttachRequest) -> AsyncIterator[tuple[int, bytes]]:
    """What the log holds, as the stream would have shown it."""
    request = LogRequest(stdout=wanted.stdout, stderr=wanted.stderr)
    entries = await logs.read(call.engine, call.params["id"], request)
    return ((_NUMBER[entry.stream], entry.data) async for entry in entries)


async def websocket(call: Call) -> web.StreamResponse:
    raise Unsupported("attach over a websocket is not supported")


async def logs_(call: Call) -> web.StreamResponse:
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not (stdout or stderr):
        raise Invalid("Bad parameters: you must choose at least one stream")
    request = LogRequest(
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        since=parse_seconds("since", call.text("since")),
        until=parse_seconds("until", call.text("until")),
        tail=_tail(call.text("tail")),
    )
    record = listing.find(call.engine, call.params["id"])
    entries = await logs.read(call.engine, record.id, request)
    response = await call.stream(streams.media_type(call.dialect, record.config.tty))
    stamped, detailed, tty = call.flag("timestamps"), call.flag("details"), record.config.tty
    async for entry in entries:
        details = (logs.details(entry) + " ").encode() if detailed else b""
        data = (_stamp(entry) if stamped else b"") + details + entry.data
        await response.write(data if tty else streams.frame(_NUMBER[entry.stream], data))
    return response


def _stamp(entry: LogEntry) -> bytes:
    return rfc3339_fixed(entry.time).encode() + b" "


def _tail(text: str) -> int | None:
    """A number of lines; anything else, `all` above all, means all of them."""
    return int(text) if text.isdecimal() and len(text) < 19 else None
