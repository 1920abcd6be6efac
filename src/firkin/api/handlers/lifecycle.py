"""A container's life: start, stop, restart, kill, pause, unpause, wait, resize."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.engine import kill, pause, resize, start, stop, wait
from firkin.errors import FirkinError, Invalid


async def start_(call: Call) -> web.StreamResponse:
    if call.request.can_read_body and await call.json(required=False):
        raise Invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
    await start.start(call.engine, call.params["id"], call.text("detachKeys"))
    return answers.empty()


async def stop_(call: Call) -> web.StreamResponse:
    await stop.stop(call.engine, call.params["id"], call.text("signal"), call.number("t"))
    return answers.empty()


async def restart(call: Call) -> web.StreamResponse:
    await stop.restart(call.engine, call.params["id"], call.text("signal"), call.number("t"))
    return answers.empty()


async def kill_(call: Call) -> web.StreamResponse:
    await kill.kill(call.engine, call.params["id"], call.text("signal"))
    return answers.empty()


async def pause_(call: Call) -> web.StreamResponse:
    await pause.pause(call.engine, call.params["id"])
    return answers.empty()


async def unpause(call: Call) -> web.StreamResponse:
    await pause.unpause(call.engine, call.params["id"])
    return answers.empty()


async def resize_(call: Call) -> web.StreamResponse:
    await resize.resize(call.engine, call.params["id"], *read_size(call))
    return answers.empty(200)


def read_size(call: Call) -> tuple[int, int]:
    """(height, width) in characters."""
    height, width = call.number("h"), call.number("w")
    if height is None or width is None or not (0 <= height < 1 << 16 and 0 <= width < 1 << 16):
        raise Invalid("invalid resize: want h and w, both from 0 to 65535")
    return height, width


async def wait_(call: Call) -> web.StreamResponse:
    """The headers go out at once: only then may the client start what it waits for."""
    ended = await wait.begin(call.engine, call.params["id"], _condition(call))
    try:
        response = await call.stream("application/json")
        try:
            result = await ended
            answer: dict[str, Any] = {"StatusCode": result.status_code}
            if result.error:
                answer["Error"] = {"Message": result.error}
        except FirkinError as error:
            answer = {"StatusCode": -1, "Error": {"Message": error.message}}
        await response.write_eof(msgspec.json.encode(answer) + b"\n")
        return response
    finally:
        ended.cancel()


def _condition(call: Call) -> str:
    return call.text("condition") if call.dialect.refuses_unknown_wait_condition else ""
