"""Exec: create, start, resize, inspect."""

from __future__ import annotations

from aiohttp import web

from firkin.api import answers, streams
from firkin.api.call import Call
from firkin.api.decode import decode
from firkin.api.handlers.lifecycle import read_size
from firkin.api.shape_exec import exec_inspect
from firkin.engine import exec, resize
from firkin.errors import Invalid
from firkin.model import ExecRequest


async def create(call: Call) -> web.StreamResponse:
    document = await call.json()
    if not document.get("Cmd"):
        raise Invalid("No exec command specified")
    exec_id = await exec.create(call.engine, call.params["id"], decode(ExecRequest, document))
    return answers.json({"Id": exec_id}, 201)


async def start(call: Call) -> web.StreamResponse:
    document = await call.json(required=False)
    detach, size = bool(document.get("Detach")), document.get("ConsoleSize") or (0, 0)
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(n, int) and 0 <= n < 1 << 16 for n in size)):
        raise Invalid("invalid JSON: Expected two numbers - at `ConsoleSize`")
    session = exec.claim(call.engine, call.params["id"], (size[0], size[1]))
    if detach:
        await exec.start_detached(call.engine, session)
        return answers.empty(200)
    # Whether output comes in frames is said here, not by whether the process has a terminal.
    attached = exec.start(call.engine, session)
    return await streams.serve(call, attached, bool(document.get("Tty")), _until(session.record.request))


def _until(request: ExecRequest) -> streams.Until:
    if request.attach_stdin and not (request.attach_stdout or request.attach_stderr or request.tty):
        return "input"
    return "either" if request.tty and request.attach_stdin else "output"


async def resize_(call: Call) -> web.StreamResponse:
    await resize.resize_exec(call.engine, call.params["id"], *read_size(call))
    return answers.empty(200)


async def inspect(call: Call) -> web.StreamResponse:
    return answers.json(exec_inspect(exec.inspect(call.engine, call.params["id"])))
