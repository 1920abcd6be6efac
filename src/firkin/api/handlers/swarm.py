"""What belongs to a cluster, or to plug-ins: there is none of either, and clients that ask are told so in dockerd's words."""

from __future__ import annotations

from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.errors import Unavailable


async def not_a_manager(call: Call) -> web.StreamResponse:
    raise Unavailable(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
        "and try again."
    )


async def not_a_member(call: Call) -> web.StreamResponse:
    raise Unavailable("This node is not part of a swarm")


async def no_plugins(call: Call) -> web.StreamResponse:
    return answers.json([])
