"""A server with a few routes of the tests' own, so that HTTP itself can be tried without an engine behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from firkin.api.hosts import Serving
from firkin.api.router import Route
from firkin.api.server import Application, Server
from firkin.engine.engine import Engine

NO_ENGINE = cast(Engine, None)


async def serve(path: Path, routes: Iterable[Route], engine: Any = NO_ENGINE) -> Serving:
    """Answer `routes` on a unix socket at `path`."""
    server = Server(Application(engine, routes))
    serving = Serving(server)
    await serving.listen(f"unix://{path}", "", None)
    return serving


class Client:
    """One raw connection, for what an HTTP library would not send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, path: Path) -> Client:
        return cls(*await asyncio.open_unix_connection(path))

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        head = {"Host": "docker", "Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in head.items()), "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """(status, headers in lower case)."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """A whole response of known length."""
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        await self.send(method, path, body, **headers)
        return await self.answer()

    async def rest(self) -> bytes:
        """All until the server closes."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
