"""The HTTP server: every request passes `Application.handle`, on whichever host it came in.

Uses aiohttp's low-level server: what its application layer would add (routing by regular expressions in Python,
signals, cleanup contexts) costs more per request than the rest of this module.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from aiohttp import web

from firkin.api import problems
from firkin.api.call import Call
from firkin.api.connection import Connection, Finished
from firkin.api.router import Route, Router
from firkin.api.versions import split_version
from firkin.engine.engine import Engine
from firkin.errors import Forbidden

_LARGEST_BODY = 8 << 20  # of JSON, which is held in memory; archives are streamed
_LARGEST_HEADER = 64 << 10  # registry credentials and filters grow long
_KEEPALIVE = 3600.0  # seconds


class Application:
    """The routes of one engine, answering requests."""

    def __init__(self, engine: Engine, routes: Iterable[Route]) -> None:
        self._engine = engine
        self._router = Router(routes)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. An error before the answer has begun becomes one; after that it breaks the answer off,
        which the client sees from the missing end."""
        try:
            self._refuse_browsers(request)
            await _expect(request)
            dialect, path = split_version(request.path)
            handler, params = self._router.find(request.method, path)
            return await handler(Call(self._engine, request, dialect, params))
        except Exception as error:
            if request.transport is None or request.transport.is_closing():
                return Finished()  # the client is gone
            if request.writer.output_size:
                problems.log_broken_off(request.path, error)
                return Finished()
            return problems.reply(error)

    @staticmethod
    def _refuse_browsers(request: web.BaseRequest) -> None:
        """A web page may make its visitor's browser reach a TCP port, directly or by DNS rebinding: such requests
        carry an Origin, or a Host that is none of this machine's names."""
        if request.transport is None or request.transport.get_extra_info("socket").family == socket.AF_UNIX:
            return
        if "Origin" in request.headers:
            raise Forbidden("refuse request: it comes from a web page (Origin header)")
        if not _is_own_name(request.host):
            raise Forbidden(f"refuse request: {request.host!r} is not a name of this host")


def _is_own_name(host: str) -> bool:
    """Whether a Host header names an address, localhost or this machine."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    try:
        ipaddress.ip_address(name.strip("[]"))
        return True
    except ValueError:
        return name.partition(".")[0].lower() in ("localhost", socket.gethostname().partition(".")[0].lower())


async def _expect(request: web.BaseRequest) -> None:
    """Clients such as curl wait for this before they send a large body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


class Server(web.Server):
    """Makes a `Connection` for each client."""

    def __init__(self, application: Application) -> None:
        super().__init__(application.handle, request_factory=self._request)

    def _request(self, message, payload, protocol, writer, task) -> web.BaseRequest:  # type: ignore[no-untyped-def]
        protocol.body = payload
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=_LARGEST_BODY)

    def __call__(self) -> Connection:
        return Connection(
            self,
            loop=self._loop,
            access_log=None,
            keepalive_timeout=_KEEPALIVE,
            max_line_size=_LARGEST_HEADER,
            max_field_size=_LARGEST_HEADER,
            auto_decompress=False,
        )
