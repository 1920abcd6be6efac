"""Networks, and the containers on them."""

from __future__ import annotations

from aiohttp import web

from firkin.api import answers, filters, shape_network
from firkin.api.call import Call
from firkin.api.decode import decode
from firkin.engine import connect as connections
from firkin.engine import networks
from firkin.errors import Invalid
from firkin.model import EndpointRequest
from firkin.network.model import NetworkRequest


async def list_(call: Call) -> web.StreamResponse:
    found = call.engine.networks.list(call.filters())
    return answers.json([shape_network.summary(item, call.dialect) for item in found])


async def create(call: Call) -> web.StreamResponse:
    document = await call.json()
    if document.get("Name") in (None, ""):
        raise Invalid("network name cannot be empty")
    item = await networks.create(call.engine, decode(NetworkRequest, document))
    return answers.json({"Id": item.id, "Warning": ""}, 201)


async def inspect(call: Call) -> web.StreamResponse:
    item = call.engine.networks.find(call.params["id"])
    members = [entry.record for entry in call.engine.containers if entry.live]
    return answers.json(shape_network.inspect(item, members, call.dialect))


async def remove(call: Call) -> web.StreamResponse:
    await networks.remove(call.engine, call.params["id"])
    return answers.empty()


async def prune(call: Call) -> web.StreamResponse:
    wanted = call.filters()
    names = await networks.prune(call.engine, wanted, filters.parse_until(wanted))
    return answers.json({"NetworksDeleted": list(names) or None})


async def connect(call: Call) -> web.StreamResponse:
    document = await call.json()
    endpoint = decode(EndpointRequest, document.get("EndpointConfig") or {})
    await connections.connect(call.engine, call.params["id"], _container(document), endpoint)
    return answers.empty(200)


async def disconnect(call: Call) -> web.StreamResponse:
    document = await call.json()
    await connections.disconnect(call.engine, call.params["id"], _container(document), bool(document.get("Force")))
    return answers.empty(200)


def _container(document: dict[str, object]) -> str:
    ref = document.get("Container")
    if not isinstance(ref, str) or not ref:
        raise Invalid("invalid JSON: Expected `str` - at `Container`")
    return ref
