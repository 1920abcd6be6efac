"""Named volumes."""

from __future__ import annotations

from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.api.decode import decode
from firkin.api.filters import parse_flag
from firkin.api.shape_volume import volume
from firkin.engine import volumes
from firkin.storage.volumes import VolumeRequest


async def list_(call: Call) -> web.StreamResponse:
    found = call.engine.volumes.list(call.filters())
    return answers.json({"Volumes": [volume(item) for item in found], "Warnings": None})


async def create(call: Call) -> web.StreamResponse:
    item = await volumes.create(call.engine, decode(VolumeRequest, await call.json(required=False)))
    return answers.json(volume(item), 201)


async def inspect(call: Call) -> web.StreamResponse:
    return answers.json(volume(call.engine.volumes.inspect(call.params["id"])))


async def remove(call: Call) -> web.StreamResponse:
    await volumes.remove(call.engine, call.params["id"], call.flag("force"))
    return answers.empty()


async def prune(call: Call) -> web.StreamResponse:
    """Only anonymous volumes, unless the filter `all` is set or the version is from before that distinction."""
    wanted = call.filters()
    everything = parse_flag(wanted, "all", not call.dialect.prunes_only_anonymous_volumes)
    wanted.pop("all", None)
    names, freed = await volumes.prune(call.engine, wanted, everything)
    return answers.json({"VolumesDeleted": names or None, "SpaceReclaimed": freed})
