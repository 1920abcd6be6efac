"""Answers: JSON, empty, or a stream; every one with the headers that dockerd sends with all of its own."""

from __future__ import annotations

import json as stdlib_json
from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from firkin import __version__
from firkin.api.versions import NEWEST

_COMMON = CIMultiDict(
    {
        "Api-Version": f"1.{NEWEST}",
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"Firkin/{__version__} (linux)",
    }
)
_JSON = CIMultiDict(_COMMON, **{"Content-Type": "application/json"})
_encode = msgspec.json.Encoder().encode


def encode(value: Any) -> bytes:
    """As JSON. What a container calls its files need be no text: what is none is shown as a question mark."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return stdlib_json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode(errors="replace")


def json(value: Any, status: int = 200) -> web.Response:
    """`value` as JSON, with the newline that Go's encoder puts after it."""
    return web.Response(status=status, body=encode(value) + b"\n", headers=_JSON.copy())


def error(status: int, message: str) -> web.Response:
    """Docker's `ErrorResponse`; a 304 has no body."""
    return empty(status) if status == 304 else json({"message": message}, status)


def empty(status: int = 204, **headers: str) -> web.Response:
    return web.Response(status=status, headers=CIMultiDict(_COMMON, **headers))


def text(body: str, **headers: str) -> web.Response:
    return web.Response(
        body=body.encode(), headers=CIMultiDict(_COMMON, **{"Content-Type": "text/plain; charset=utf-8"}, **headers)
    )


def stream(content_type: str, **headers: str) -> web.StreamResponse:
    """The head of an answer of unknown length; the caller prepares it, which sends the headers."""
    return web.StreamResponse(headers=CIMultiDict(_COMMON, **{"Content-Type": content_type}, **headers))
