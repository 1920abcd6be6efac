"""One client's connection: aiohttp's HTTP, and what Docker's protocol needs beyond it.

Beyond HTTP: a connection may be taken over ("hijacked") for a raw stream in both directions, whose client may close
its sending half and still read; and a client that goes away cancels a handler which only streams, but never one which
is changing something.
Source: Docker Engine API, "Stream format" under `POST /containers/{id}/attach`; aiohttp `web_protocol.RequestHandler`.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

HIGH_WATER = 1 << 18


class Inflow:
    """What the client sends after the hijack. A client that outruns its reader is held back by the transport."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        """`transport` is None if the client is gone already."""
        self._transport = transport
        self._ended = transport is None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp, which wants to know (is this the end, what was left over)."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and self._transport:
            self._transport.pause_reading()
        self._wake()
        return False, b""

    def feed_eof(self) -> None:
        """The client closed its sending half, or is gone."""
        self._ended = True
        self._wake()

    async def read(self) -> bytes:
        """The next piece; b"" once the client has sent all."""
        while not self._chunks:
            if self._ended:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = b"".join(self._chunks)
        self._chunks.clear()
        if self._size > HIGH_WATER and self._transport:
            self._transport.resume_reading()
        self._size = 0
        return data

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(RequestHandler):
    """aiohttp's connection, extended by half-close and by cancelling on loss."""

    __slots__ = ("_cancelled_on_loss", "_half_closed", "_hangup", "_inflow", "body")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._cancelled_on_loss: asyncio.Task[Any] | None = None
        self._inflow: Inflow | None = None
        self.body: StreamReader | None = None  # of the last request that was begun
        self._half_closed = False
        self._hangup: select.epoll | None = None

    def cancel_when_lost(self) -> None:
        """Cancel the running handler when the client goes away; raises `ConnectionResetError` if it has."""
        if self.transport is None:
            raise ConnectionResetError("the client is gone")
        self._cancelled_on_loss = asyncio.current_task()

    def hijack(self) -> Inflow:
        """Stop speaking HTTP: what comes from now on is raw."""
        self._inflow = Inflow(self.transport)
        self.set_parser(self._inflow)  # type: ignore[arg-type]  # anything that has feed_data and feed_eof
        if self._half_closed:
            self._inflow.feed_eof()
            self._watch_for_hangup()
        return self._inflow

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """True keeps our sending half open: for a hijacked stream, and for the answers to what has been asked already."""
        if self._inflow is not None:
            self._inflow.feed_eof()
            self._watch_for_hangup()
            return True
        streaming = self._cancelled_on_loss is not None and not self._cancelled_on_loss.done()
        idle = self._waiter is not None and not self._waiter.done()
        bodies = [*([self.body] if self.body else []), *(payload for _, payload in self._messages)]
        cut_short = any(not body.is_eof() for body in bodies)  # the rest of it will never come
        if streaming or idle or cut_short:
            return None
        self._half_closed = True
        self.close()  # once the requests under way are answered
        return True

    def _watch_for_hangup(self) -> None:
        """Notice a client that goes away after its half-close: asyncio no longer reads, and a silent process writes nothing
        that would fail, but epoll(7) always reports EPOLLHUP, which means that both halves are closed."""
        if self._hangup is None and self.transport is not None:
            self._hangup = select.epoll()
            self._hangup.register(self.transport.get_extra_info("socket").fileno(), 0)
            self._loop.add_reader(self._hangup.fileno(), self.transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        task = self._cancelled_on_loss
        if self._hangup is not None:
            self._loop.remove_reader(self._hangup.fileno())
            self._hangup.close()
        super().connection_lost(exc)
        if task is not None:
            task.cancel()


class Finished(web.StreamResponse):
    """An answer to which nothing is added: all that can be sent has been, and the connection closes."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None
