"""Raw streams over a hijacked connection: `attach` and `exec start`.

Without a terminal, standard output and error share the connection in frames of an eight-byte header (stream number,
three zeros, length big-endian) and the data; with one, bytes go as they are.
Source: Docker Engine API, `POST /containers/{id}/attach`, "Hijacking" and "Stream format".
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterator, Awaitable
from typing import Literal

from aiohttp import web

from firkin.api.call import Call
from firkin.api.connection import Finished, Inflow
from firkin.api.versions import Dialect
from firkin.engine.streams import Detached, Streams

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

Output = tuple[int, bytes]  # stream 1 or 2, data
Until = Literal["output", "input", "either"]

_HEADERS_PATIENCE, _PAUSE = 2.0, 0.001  # seconds, for a client to read them

_header = struct.Struct(">B3xL").pack


def frame(stream: int, data: bytes) -> bytes:
    """`data` of stream 1 (stdout) or 2 (stderr) as multiplexed."""
    return _header(stream, len(data)) + data


def media_type(dialect: Dialect, tty: bool) -> str:
    return MULTIPLEXED if dialect.names_stream_media_type and not tty else RAW


async def serve(
    call: Call, beginning: Awaitable[Streams], tty: bool, until: Until = "output", past: AsyncIterator[Output] | None = None
) -> web.StreamResponse:
    """Take the connection over, begin, and copy both ways `until` the end of output, of input, or of either; or until the
    client leaves or detaches. `past` is sent first. The client's half-close is the end of input.

    The answer's headers go out before anything begins, so that no output can be as early as they are (see `_be_read`)."""
    inflow = call.connection.hijack()
    try:
        await call.request.writer.write(_greeting(call, tty))
    except ConnectionError:
        pass  # the client is gone; what it asked for begins all the same
    streams = await beginning
    copying_in: asyncio.Task[None] | None = None
    try:
        call.connection.cancel_when_lost()
        copying_in = asyncio.create_task(_copy_in(inflow, streams, until == "either"))
        await _copy_out(call, streams, tty, past)
        if until == "input":
            await copying_in
    except ConnectionError:
        pass  # the client is gone; the process goes on
    finally:
        if copying_in is not None:
            copying_in.cancel()
        await streams.leave()
    return Finished()


async def _copy_out(call: Call, streams: Streams, tty: bool, past: AsyncIterator[Output] | None) -> None:
    read = False
    async for item in _outputs(streams, past):
        if not read:
            await _be_read(call)
            read = True
        await _send(call, tty, item)


async def _outputs(streams: Streams, past: AsyncIterator[Output] | None) -> AsyncIterator[Output]:
    if past is not None:
        async for item in past:
            yield item
    while (output := await streams.read()) is not None:
        yield output


async def _be_read(call: Call) -> None:
    """Until the client has read the headers. Many clients (docker-py's urllib3 for one) read them through a buffer, which
    they leave for the bare socket afterwards: what arrived together with the headers would be lost. Docker is spared this
    by being slow. A unix socket tells how much of what was sent is still unread (unix(7), SIOCOUTQ)."""
    transport = call.request.transport
    if transport is None or (sock := transport.get_extra_info("socket")).family != socket.AF_UNIX:
        return
    unread, deadline = array.array("i", [0]), asyncio.get_running_loop().time() + _HEADERS_PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, unread)
        if not unread[0] or transport.is_closing():
            return
        await asyncio.sleep(_PAUSE)


def _greeting(call: Call, tty: bool) -> bytes:
    """A client that asks for an upgrade gets 101, an old one a response without an end."""
    kind = media_type(call.dialect, tty)
    if call.request.headers.get("Upgrade", ""):
        status = f"101 UPGRADED\r\nContent-Type: {kind}\r\nConnection: Upgrade\r\nUpgrade: tcp"
    else:
        status = f"200 OK\r\nContent-Type: {kind}"
    return f"HTTP/1.1 {status}\r\n\r\n".encode()


async def _send(call: Call, tty: bool, item: Output) -> None:
    """Waits while the client is slow."""
    await call.request.writer.write(item[1] if tty else frame(*item))


async def _copy_in(inflow: Inflow, streams: Streams, then_close: bool) -> None:
    try:
        while data := await inflow.read():
            await streams.write(data)
        await streams.close_stdin()
        if then_close:
            await streams.leave()
    except Detached:
        pass  # streams.read ends too
