"""A registry in the test itself, which misbehaves to order and remembers what it was asked."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.images.rig import Sample, sha256


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class FaultyRegistry:
    """Serves `documents` (by name or digest) and `blobs`. `faults[digest or name]` is a queue, one for each request:
    "reset", "stall", "truncate", "corrupt", "longer", "no-range", or a status, with seconds for Retry-After or not."""

    port: int = 5001
    address: str = "127.0.0.1"
    documents: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    redirect: str = ""  # where blobs are instead
    users: dict[str, str] = field(default_factory=dict)  # for the token service; empty: nobody is asked
    seen: list[Seen] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def add(self, sample: Sample, tag: str = "latest") -> str:
        self.blobs.update(sample.blobs)
        return self.add_document(json.loads(sample.manifest), tag, sample.manifest)

    def add_document(self, document: dict[str, Any], tag: str = "latest", data: bytes = b"") -> str:
        """Serve a manifest or index under a tag and its digest; the digest."""
        data = data or json.dumps(document).encode()
        media_type = document.get("mediaType", "application/vnd.oci.image.manifest.v1+json")
        self.documents[tag] = self.documents[sha256(data)] = (media_type, data)
        return sha256(data)

    def requests(self, part: str, method: str = "GET") -> list[Seen]:
        return [seen for seen in self.seen if part in seen.path and seen.method == method]

    async def __aenter__(self) -> FaultyRegistry:
        self._over = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/v2/", self._root)
        app.router.add_route("*", "/token", self._token)
        app.router.add_route("*", "/v2/{name:.+}/manifests/{reference}", self._manifest)
        app.router.add_route("*", "/{name:.+}/blobs/{reference}", self._blob)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    def _note(self, request: web.Request) -> None:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers)))

    def _refused(self, request: web.Request) -> web.Response | None:
        if not self.users or request.headers.get("Authorization") == "Bearer good-token":
            return None
        challenge = f'Bearer realm="http://{self.host}/token",service="the, service"'
        return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401, headers={"WWW-Authenticate": challenge})

    async def _root(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response({})

    async def _token(self, request: web.Request) -> web.Response:
        self._note(request)
        if request.method == "POST":
            good = (await request.post()).get("refresh_token") == "identity"
        else:
            words = base64.b64decode(request.headers.get("Authorization", "Basic ").split(" ")[1]).decode().partition(":")
            good = self.users.get(words[0]) == words[2] != ""
        return web.json_response(
            {"token": "good-token", "refresh_token": "identity"} if good else {}, status=200 if good else 401
        )

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        name = request.match_info["reference"]
        fault = self.faults[name].pop(0) if request.method == "GET" and self.faults[name] else None
        if refused := self._refused(request) or _status(fault):
            return refused
        if name not in self.documents:
            return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, status=404)
        media_type, data = self.documents[name]
        if fault == "corrupt":
            data = data.replace(b"2", b"3", 1)
        return web.Response(
            body=data, content_type=media_type, headers={"Docker-Content-Digest": sha256(self.documents[name][1])}
        )

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        name = request.match_info["reference"]
        fault = self.faults[name].pop(0) if self.faults[name] else None
        if self.redirect:
            raise web.HTTPTemporaryRedirect(f"{self.redirect}/elsewhere/blobs/{name}")
        if refused := (not request.path.startswith("/elsewhere") and self._refused(request)) or _status(fault):
            return refused
        if name not in self.blobs:
            raise web.HTTPNotFound
        return await self._send(request, self.blobs[name], fault)

    async def _send(self, request: web.Request, data: bytes, fault: str | None) -> web.StreamResponse:
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and fault != "no-range" else 0
        body = data[start:]
        if fault == "corrupt":
            body = bytes([body[0] ^ 1]) + body[1:]
        if fault == "longer":
            body += b"more"
        headers = {"Content-Length": str(len(body))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        if fault in ("reset", "stall", "truncate"):
            await response.write(body[: len(body) // 2])
            if fault == "stall":
                await self._over.wait()
            await asyncio.sleep(0.02)  # until it is on the wire
            if request.transport:
                request.transport.abort() if fault == "reset" else request.transport.close()
            return response
        await response.write(body)
        return response


def _status(fault: Any) -> web.Response | None:
    if isinstance(fault, int):
        return web.Response(status=fault)
    if isinstance(fault, tuple):
        return web.Response(status=fault[0], headers={"Retry-After": str(fault[1])})
    return None
