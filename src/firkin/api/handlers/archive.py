"""Files in and out of a container as tar archives: `docker cp`."""

from __future__ import annotations

import base64

from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.api.shape_path import path_stat
from firkin.engine import archive
from firkin.errors import Invalid
from firkin.storage.archive import PathStat

_STAT = "X-Docker-Container-Path-Stat"


async def stat(call: Call) -> web.StreamResponse:
    found = await archive.stat(call.engine, call.params["id"], _path(call))
    return answers.empty(200, **{_STAT: _header(found)})


async def get(call: Call) -> web.StreamResponse:
    found, chunks = await archive.get(call.engine, call.params["id"], _path(call))
    return await call.send("application/x-tar", chunks, **{_STAT: _header(found)})


async def put(call: Call) -> web.StreamResponse:
    await archive.put(
        call.engine,
        call.params["id"],
        _path(call),
        call.chunks(),
        keep_kinds=call.flag("noOverwriteDirNonDir"),
        copy_owner=call.flag("copyUIDGID"),
    )
    return answers.empty(200)


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise Invalid("bad parameter: 'path' cannot be empty")
    return path


def _header(found: PathStat) -> str:
    return base64.b64encode(answers.encode(path_stat(found))).decode()
