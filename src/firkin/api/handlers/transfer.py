"""Images on the move: pull, import, push, save, load."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from firkin.api import progress
from firkin.api.call import Call
from firkin.api.handlers.images import platform
from firkin.errors import Invalid
from firkin.images.auth import decode_registry_auth
from firkin.images.progress import ignore
from firkin.images.push import Pushed
from firkin.oci.reference import parse_reference


async def create(call: Call) -> web.StreamResponse:
    """Pull, or import when `fromSrc` is given."""
    if call.text("fromImage"):
        return await _pull(call)
    if call.text("fromSrc"):
        return await _import(call)
    raise Invalid("invalid request: want fromImage or fromSrc")


async def _pull(call: Call) -> web.StreamResponse:
    name, tag = call.text("fromImage"), call.text("tag")
    if tag:
        name += ("@" if tag.startswith("sha256:") else ":") + tag
    credentials = decode_registry_auth(call.request.headers.get("X-Registry-Auth", ""))
    images, reference = call.engine.images, parse_reference(name)
    verb = images.pull if reference.tag or reference.digest else images.pull_all
    return await progress.serve(call, lambda watch: verb(name, platform(call), credentials, watch))


async def _import(call: Call) -> web.StreamResponse:
    if call.text("fromSrc") != "-":
        raise Invalid("import: only an archive in the request's body (fromSrc=-) is supported")
    repository, tag = call.text("repo"), call.text("tag")
    return await progress.serve(
        call,
        lambda watch: call.engine.images.import_(
            call.chunks(),
            f"{repository}:{tag}" if repository and tag else repository,
            message=call.text("message"),
            changes=call.many("changes"),
            platform=platform(call),
        ),
        lambda image_id: [{"status": str(image_id)}],
    )


async def push(call: Call) -> web.StreamResponse:
    name, tag = call.params["name"], call.text("tag")
    credentials = decode_registry_auth(call.request.headers.get("X-Registry-Auth", ""))
    images = call.engine.images
    return await progress.serve(
        call,
        lambda watch: images.push(f"{name}:{tag}", credentials, watch) if tag else images.push_all(name, credentials, watch),
        lambda pushed: [_pushed(item) for item in ([pushed] if tag else pushed)],
    )


def _pushed(item: Pushed) -> dict[str, Any]:
    return {"progressDetail": {}, "aux": {"Tag": item.tag, "Digest": item.digest, "Size": item.size}}


async def save(call: Call) -> web.StreamResponse:
    names = [call.params["name"]] if call.params else [name for value in call.many("names") for name in value.split(",")]
    if not names:
        raise Invalid("save images: no names given")
    return await call.send("application/x-tar", call.engine.images.save(names))


async def load(call: Call) -> web.StreamResponse:
    quiet = call.flag("quiet", True)
    return await progress.serve(call, lambda watch: call.engine.images.load(call.chunks(), ignore if quiet else watch), _loaded)


def _loaded(lines: Any) -> list[dict[str, Any]]:
    return [{"stream": f"{line}\n"} for line in lines]
