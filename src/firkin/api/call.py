"""One request on its way through a handler: what it asks, and the means to answer it.

Parameters and bodies are read here and nowhere else, so that every route judges them alike.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from aiohttp import web

from firkin.api import answers
from firkin.api.connection import Connection
from firkin.api.filters import Filters, parse_filters
from firkin.api.versions import Dialect
from firkin.engine.engine import Engine
from firkin.errors import Invalid
from firkin.oci import foreign_json

_FALSE = ("", "0", "no", "false", "none")
_CHUNK = 1 << 16


class Call:
    """A request with its path's parameters, the API version it speaks and the engine it speaks to."""

    __slots__ = ("dialect", "engine", "params", "request")

    def __init__(self, engine: Engine, request: web.BaseRequest, dialect: Dialect, params: dict[str, str]) -> None:
        self.engine = engine
        self.request = request
        self.dialect = dialect
        self.params = params

    # --- the query -------------------------------------------------------------------------------------------------
    def text(self, name: str, default: str = "") -> str:
        """A value as it was given; raises `Invalid` for one that no file name and no argument of a program could be."""
        value = self.request.query.get(name, default)
        if "\0" in value:
            raise Invalid(f"invalid value for {name!r}: it has a zero byte")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean as dockerd reads one: anything but "", 0, no, false and none is true."""
        value = self.request.query.get(name)
        return default if value is None else value.strip().lower() not in _FALSE

    def number(self, name: str) -> int | None:
        """An integer, None when it is not given; raises `Invalid` naming the parameter."""
        value = self.request.query.get(name, "")
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise Invalid(f"invalid value for {name!r}: {value!r} is not a whole number") from None

    def many(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may be repeated."""
        return tuple(self.request.query.getall(name, ()))

    def filters(self, accepted: frozenset[str] | None = None) -> Filters:
        return parse_filters(self.request.query.get("filters", ""), accepted)

    # --- the body --------------------------------------------------------------------------------------------------
    async def json(self, *, required: bool = True) -> dict[str, Any]:
        """The body as a JSON object; {} for none unless `required`. Raises `Invalid` with dockerd's texts."""
        data = await self.request.read() if self.request.body_exists else b""
        if not data:
            if required:
                raise Invalid("invalid JSON: got EOF while reading request body")
            return {}
        self._require_json_type()
        try:
            document = foreign_json.loads(data)
        except ValueError as error:
            raise Invalid(f"invalid JSON: {error}") from None
        if document is None and not required:
            return {}
        if not isinstance(document, dict):
            raise Invalid(f"invalid JSON: want an object, not {type(document).__name__}")
        return document

    def _require_json_type(self) -> None:
        kind = self.request.headers.get("Content-Type", "")
        if not kind.startswith("application/json"):
            raise Invalid(f"unsupported Content-Type header ({kind}): must be 'application/json'")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece, whatever its size."""
        while data := await self.request.content.read(_CHUNK):
            yield data

    # --- the answer ------------------------------------------------------------------------------------------------
    async def stream(self, content_type: str, **headers: str) -> web.StreamResponse:
        """An answer of unknown length whose headers are sent now. From here on a client that goes away cancels the handler."""
        response = answers.stream(content_type, **headers)
        self.connection.cancel_when_lost()
        await response.prepare(self.request)
        return response

    async def send(self, content_type: str, chunks: AsyncIterator[bytes], **headers: str) -> web.StreamResponse:
        """Stream `chunks`. The first is awaited before the headers go out, so that an early failure is an error response."""
        try:
            first = await anext(chunks, b"")
            response = await self.stream(content_type, **headers)
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
            return response
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    @property
    def connection(self) -> Connection:
        connection = self.request.protocol
        assert isinstance(connection, Connection)
        return connection
