"""The registry's side of an image: manifests and blobs of one repository, by the OCI distribution spec.

Invariant: bytes returned as a manifest are the bytes their digest names. Blobs are checked by whoever stores them.
Source: OCI distribution spec 1.1, "API"; error texts are those of Docker's command line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from firkin.errors import FirkinError, Forbidden, Invalid, NotFound, Unavailable
from firkin.images.transport import Transport
from firkin.oci import foreign_json
from firkin.oci.digest import Digest, digest_of, parse_digest
from firkin.oci.manifest import INDEX_TYPES, LARGEST_MANIFEST, MANIFEST_TYPES, Descriptor
from firkin.oci.reference import Reference

_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_LARGEST_ERROR = 64 << 10
_MOST_TAGS = 100_000
_MOST_PAGES = 1000


@dataclass(frozen=True)
class Fetched:
    """A manifest or index as the registry sent it."""

    data: bytes
    media_type: str  # the sender's Content-Type, "" if it gave none
    digest: Digest


class Repository:
    """One repository behind one open transport."""

    def __init__(self, transport: Transport, reference: Reference) -> None:
        self.transport, self.reference = transport, reference
        self._base = f"/v2/{reference.path}"

    async def resolve(self, tag_or_digest: str) -> Digest | None:
        """The digest of a manifest by HEAD (which rate limits do not count), None if the registry does not say."""
        async with self.transport.send(
            "HEAD", f"{self._base}/manifests/{tag_or_digest}", headers={"Accept": _ACCEPT}
        ) as response:
            told = response.headers.get("Docker-Content-Digest", "")
        return parse_digest(told) if response.status == 200 and told.startswith("sha256:") else None

    async def manifest(self, tag_or_digest: str) -> Fetched:
        """The manifest or index called so; raises `NotFound`, `Forbidden`, `Unavailable`, or `Invalid` for bytes that are not
        what was asked for."""
        async with self.transport.send(
            "GET", f"{self._base}/manifests/{tag_or_digest}", headers={"Accept": _ACCEPT}
        ) as response:
            await self._expect(response, 200)
            data = await read_limited(response, LARGEST_MANIFEST, "manifest")
            told = response.headers.get("Docker-Content-Digest", "")
        digest = digest_of(data)
        for wanted in (tag_or_digest, told):
            if wanted.startswith("sha256:") and wanted != digest:
                raise Invalid(f"manifest verification failed for digest {wanted}")
        return Fetched(data, response.headers.get("Content-Type", ""), digest)

    @asynccontextmanager
    async def blob(self, descriptor: Descriptor, offset: int, url: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
        """The blob from byte `offset` on; the caller resumes when it breaks off. Status 200: from the beginning after all.
        `url` names a place outside the registry, for foreign layers."""
        target = url or f"{self._base}/blobs/{descriptor.digest}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self.transport.send("GET", target, headers=headers) as response:
            await self._expect(response, 200, 206)
            if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                raise Unavailable(f"fetch {descriptor.digest}: the registry sent another range than the one asked for")
            yield response

    async def has_blob(self, digest: Digest) -> bool:
        async with self.transport.send("HEAD", f"{self._base}/blobs/{digest}") as response:
            return response.status == 200

    async def begin_upload(self, digest: Digest, source: str = "") -> URL | None:
        """Where to upload a blob; None when it could be linked from repository path `source` of the same registry."""
        query = f"?mount={digest}&from={source}" if source else ""
        async with self.transport.send("POST", f"{self._base}/blobs/uploads/{query}") as response:
            await self._expect(response, 201, 202)
            location = response.headers.get("Location", "")
        if response.status == 201:
            return None
        if not location:
            raise Unavailable(f"push to {self.reference.familiar_name}: the registry names no place to upload to")
        return self.transport.url(self.transport.joined(self.transport.url("/v2/"), location))

    async def upload_blob(self, place: URL, digest: Digest, size: int, body: Callable[[], Any]) -> None:
        """Send a blob in one PUT; `body` opens the bytes anew for every attempt."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        target = place.extend_query({"digest": digest})
        async with self.transport.send("PUT", target, headers=headers, body=body) as response:
            await self._expect(response, 201)

    async def put_manifest(self, tag_or_digest: str, data: bytes, media_type: str) -> Digest:
        """Store a manifest under a tag or its digest; its digest."""
        headers = {"Content-Type": media_type}
        target = f"{self._base}/manifests/{tag_or_digest}"
        async with self.transport.send("PUT", target, headers=headers, body=lambda: data) as response:
            await self._expect(response, 201)
        return digest_of(data)

    async def tags(self) -> list[str]:
        """Every tag, following the registry's pages."""
        found: list[str] = []
        target: str | URL | None = f"{self._base}/tags/list"
        for _ in range(_MOST_PAGES):
            if target is None or len(found) >= _MOST_TAGS:
                break
            async with self.transport.send("GET", target) as response:
                await self._expect(response, 200)
                page = _decode(await read_limited(response, LARGEST_MANIFEST, "tag list"))
            tags = page.get("tags")
            found += [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
            target = self._next_page(response)
        return found

    def _next_page(self, response: aiohttp.ClientResponse) -> URL | None:
        try:
            following = response.links.get("next")
        except ValueError as error:
            raise Unavailable(f"list tags of {self.reference.familiar_name}: malformed Link header: {error}") from None
        return self.transport.joined(response.url, str(following["url"])) if following else None

    async def _expect(self, response: aiohttp.ClientResponse, *statuses: int) -> None:
        if response.status not in statuses:
            raise await refusal(response, self.reference)


async def refusal(response: aiohttp.ClientResponse, reference: Reference) -> FirkinError:
    """The error that a response of any other status stands for, worded as Docker words it."""
    detail = _first_error(await response.content.read(_LARGEST_ERROR)) or (response.reason or "").lower()
    name = reference.familiar_name
    match response.status:
        case 401 | 403 if response.method in ("GET", "HEAD"):
            text = f"pull access denied for {name}, repository does not exist or may require 'docker login': {detail}"
            return Forbidden(text) if response.status == 403 else NotFound(text)
        case 401 | 403:
            return Forbidden(f"push to {name}: {detail or 'denied'}")
        case 404 if "/manifests/" in response.url.path:
            return NotFound(f"manifest for {reference.familiar} not found: {detail}")
        case 404:
            return NotFound(f"{response.method} {response.url.path}: {detail}")
        case 429:
            return Unavailable(f"toomanyrequests: {detail}")
        case status if status >= 500:
            return Unavailable(f"received unexpected HTTP status: {status} {response.reason}")
        case status:
            return Invalid(f"{response.method} {response.url.path}: HTTP status {status}: {detail}")


async def read_limited(response: aiohttp.ClientResponse, limit: int, what: str) -> bytes:
    """The whole body, at most `limit` bytes of it; raises `Invalid` when there is more, `Unavailable` when it breaks off."""
    parts, size = [], 0
    try:
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise Invalid(f"read {what} from {response.url.host}: more than the limit of {limit} bytes")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(f"read {what} from {response.url.host}: {error or 'i/o timeout'}")
    return b"".join(parts)


def _decode(data: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = foreign_json.loads(data, dict[str, Any])
        return found
    except ValueError as error:
        raise Unavailable(f"read the registry's reply: {error}")


def _first_error(body: bytes) -> str:
    """`code: message` of the first entry in a distribution-spec error body, "" if it is none."""
    try:
        first = foreign_json.loads(body)["errors"][0]
        return f"{str(first['code']).lower().replace('_', ' ')}: {first.get('message') or ''}".rstrip(": ")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
