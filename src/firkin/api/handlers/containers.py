"""Containers as objects: list, create, inspect, update, rename, remove, prune, and what they are made of."""

from __future__ import annotations

import time
from dataclasses import replace

from aiohttp import web

from firkin.api import answers, create_request, filters, shape_container, shape_summary
from firkin.api.call import Call
from firkin.api.decode import decode
from firkin.engine import changes, create, export, links, listing, remove, rename, top, update
from firkin.errors import FirkinError, Invalid
from firkin.model import Container, Resources, RestartPolicy
from firkin.runtime import apparmor


async def list_(call: Call) -> web.StreamResponse:
    chosen = listing.containers(call.engine, call.filters(), call.flag("all"), max(0, call.number("limit") or 0))
    rows, now = [], time.time_ns()
    for record in chosen:
        sizes = await listing.sizes(call.engine, record.id) if call.flag("size") else None
        rows.append(shape_summary.summary(record, _image_name(call, record), now, sizes))
    return answers.json(rows)


def _image_name(call: Call, record: Container) -> str:
    """What the container was created from, as long as that still means the same image."""
    try:
        if call.engine.images.resolve(record.config.image).id == record.image_id:
            return record.config.image
    except FirkinError:
        pass
    return record.image_id


async def create_(call: Call) -> web.StreamResponse:
    request = create_request.read(await call.json(), call.dialect, call.text("name"), call.text("platform"))
    created = await create.create(call.engine, request)
    return answers.json({"Id": created.id, "Warnings": list(created.warnings)}, 201)


async def inspect(call: Call) -> web.StreamResponse:
    record = listing.find(call.engine, call.params["id"])
    record = replace(record, host=replace(record.host, links=links.shown(call.engine, record)))
    sizes = await listing.sizes(call.engine, record.id) if call.flag("size") else None
    execs = [i for i, s in call.engine.execs.items() if s.record.container_id == record.id and s.record.running]
    profile = apparmor.profile_of(record.host, call.engine.machine)
    return answers.json(shape_container.inspect(record, call.engine.layout, call.dialect, execs, sizes, profile))


async def update_(call: Call) -> web.StreamResponse:
    document = await call.json()
    policy = document.get("RestartPolicy") or {}
    if not isinstance(policy, dict):
        raise Invalid("invalid JSON: Expected `object` - at `RestartPolicy`")
    warnings = await update.update(
        call.engine,
        call.params["id"],
        decode(Resources, document),
        decode(RestartPolicy, policy) if policy.get("Name") else None,
    )
    return answers.json({"Warnings": list(warnings)})


async def rename_(call: Call) -> web.StreamResponse:
    await rename.rename(call.engine, call.params["id"], call.text("name"))
    return answers.empty()


async def remove_(call: Call) -> web.StreamResponse:
    if call.flag("link"):
        await links.remove(call.engine, call.params["name"])
    else:
        await remove.remove(call.engine, call.params["name"], call.flag("force"), call.flag("v"))
    return answers.empty()


async def prune(call: Call) -> web.StreamResponse:
    wanted = call.filters(filters.CONTAINER_PRUNE)
    older_than = filters.parse_until(wanted)
    ids, freed = await remove.prune(call.engine, listing.entries_to_prune(call.engine, wanted, older_than))
    return answers.json({"ContainersDeleted": ids or None, "SpaceReclaimed": freed})


async def top_(call: Call) -> web.StreamResponse:
    titles, rows = await top.top(call.engine, call.params["id"], call.text("ps_args", "-ef"))
    return answers.json({"Titles": titles, "Processes": rows or None})


async def changes_(call: Call) -> web.StreamResponse:
    found = await changes.changes(call.engine, call.params["id"])
    return answers.json([{"Path": path, "Kind": kind} for kind, path in found] or None)


async def export_(call: Call) -> web.StreamResponse:
    chunks = await export.export(call.engine, call.params["id"])
    return await call.send("application/octet-stream", chunks)
