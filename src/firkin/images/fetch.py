"""Download one blob into the content store: resumed where it broke off, bounded by the size it was promised to have.

Invariant: a blob appears in the store only whole and verified. A download that breaks leaves a resumable ingest, one whose
bytes are wrong leaves nothing.
"""

from __future__ import annotations

import asyncio

import aiohttp

from firkin.errors import Forbidden, Invalid, NotFound, Unavailable
from firkin.ids import short_id
from firkin.images.progress import Progress, Watcher, ignore
from firkin.images.registry import Repository
from firkin.images.retry import explain
from firkin.oci.manifest import Descriptor
from firkin.storage.content import ContentStore
from firkin.storage.ingest import Ingest

_STEP = 1 << 19  # bytes between two progress reports


async def fetch_blob(repository: Repository, content: ContentStore, blob: Descriptor, watch: Watcher = ignore) -> None:
    """Make the store hold `blob`. Raises `Invalid` when the registry's bytes are not those promised, `Unavailable` when
    it cannot be had after all retries."""
    if content.has(blob.digest):
        return
    with content.ingest(blob.digest, blob.size) as ingest:
        resumed = ingest.offset > 0
        watch(Progress(short_id(blob.digest), "Downloading", ingest.offset, blob.size))
        await _fill(repository, ingest, blob, watch)
        watch(Progress(short_id(blob.digest), "Verifying Checksum"))
        try:
            ingest.commit()
        except Invalid:
            if not resumed:
                raise Invalid(f"filesystem layer verification failed for digest {blob.digest}")
            await _fill(repository, ingest, blob, watch)  # from the start: what an earlier download left may be to blame
            ingest.commit()
    watch(Progress(short_id(blob.digest), "Download complete"))


async def _fill(repository: Repository, ingest: Ingest, blob: Descriptor, watch: Watcher) -> None:
    """Append to the ingest until it is as long as promised; only a broken connection that brought nothing new is a failure."""
    retry, failures = repository.transport.retry, 0
    places = _places(repository, blob)
    while ingest.offset < blob.size:
        before = ingest.offset
        try:
            await _append(repository, ingest, blob, watch, places[0])
            problem = "unexpected EOF"
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            problem = explain(error)
        except (NotFound, Forbidden):
            if len(places) == 1:
                raise
            del places[0]
            continue
        if ingest.offset == blob.size:
            return
        failures = 1 if ingest.offset > before else failures + 1
        if failures >= retry.attempts:
            raise Unavailable(f"fetch {blob.digest}: {problem}")
        await asyncio.sleep(retry.delay(failures))


def _places(repository: Repository, blob: Descriptor) -> list[str]:
    """Where the blob may be had: from the registry (""), then, if it is foreign, from the addresses its maker names."""
    schemes = ("https://", "http://") if repository.transport.endpoint.url.scheme == "http" else ("https://",)
    return ["", *(url for url in blob.urls if blob.is_foreign and url.startswith(schemes))]


async def _append(repository: Repository, ingest: Ingest, blob: Descriptor, watch: Watcher, place: str) -> None:
    reported = ingest.offset
    async with repository.blob(blob, ingest.offset, place) as response:
        if response.status == 200 and ingest.offset:
            ingest.restart()
        async for piece in response.content.iter_any():
            try:
                ingest.write(piece)
            except (Invalid, Unavailable):  # bytes nobody promised, or no room for them: neither is worth keeping
                ingest.restart()
                raise
            if ingest.offset - reported >= _STEP:
                reported = ingest.offset
                watch(Progress(short_id(blob.digest), "Downloading", ingest.offset, blob.size))
        if response.content_length is not None and ingest.offset < blob.size:  # nothing broke: it has no more of it
            had = ingest.offset
            ingest.restart()
            raise Invalid(f"fetch {blob.digest}: {had} bytes where the manifest promises {blob.size}")
