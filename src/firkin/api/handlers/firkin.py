"""Firkin's own routes: what a run would do, what separates a container from the host, and images of the host's programs."""

from __future__ import annotations

from aiohttp import web

from firkin.api import answers, create_request, progress
from firkin.api.call import Call
from firkin.api.shape_isolation import shape
from firkin.engine import isolation as kernel
from firkin.engine import plan as verbs
from firkin.errors import Invalid


async def plan(call: Call) -> web.StreamResponse:
    """`POST /firkin/plan` with the body of create -> `{"Steps": [text, ...]}`; nothing is changed."""
    steps = await verbs.plan(call.engine, create_request.read(await call.json(), call.dialect))
    return answers.json({"Steps": list(steps)})


async def isolation(call: Call) -> web.StreamResponse:
    """`GET /firkin/containers/{id}/isolation`: what the kernel says of a running container, in `shape_isolation`'s words."""
    return answers.json(shape(await kernel.isolation(call.engine, call.params["id"])))


async def from_host(call: Call) -> web.StreamResponse:
    """`POST /firkin/images/from-host` with `{"Programs": [name or path, ...], "Tag": name}` -> progress as of a pull."""
    document = await call.json()
    programs, tag = document.get("Programs"), document.get("Tag")
    if not isinstance(programs, list) or not programs or not all(isinstance(p, str) and p for p in programs):
        raise Invalid("invalid JSON: Expected a list of names - at `Programs`")
    if not isinstance(tag, str) or not tag:
        raise Invalid("invalid JSON: Expected `str` - at `Tag`")
    return await progress.serve(
        call,
        lambda watch: call.engine.images.from_host(programs, tag, watch),
        lambda image: [{"aux": {"ID": image.id}}],
    )
