"""Whether a registry accepts credentials: `docker login`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from firkin.api import answers
from firkin.api.call import Call
from firkin.errors import Forbidden, Invalid
from firkin.images.auth import Credentials


async def check(call: Call) -> web.StreamResponse:
    """A refusal is 401 here, not the 403 of other routes."""
    document = await call.json()
    credentials = Credentials(_text(document, "username"), _text(document, "password"), _text(document, "identitytoken"))
    try:
        token = await call.engine.images.login(_text(document, "serveraddress"), credentials)
    except Forbidden as error:
        return answers.error(401, error.message)
    return answers.json({"Status": "Login Succeeded", "IdentityToken": token})


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name) or ""
    if not isinstance(value, str):
        raise Invalid(f"invalid JSON: Expected `str` - at `{name}`")
    return value
