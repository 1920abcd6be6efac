"""Push: an image's blobs and manifest to a registry, each blob only if the registry has it nowhere.

Layers that are stored as plain tar (made by commit, import or from-host) travel packed; packing is deterministic, so a
second push finds them there. Source: OCI distribution spec, "Pushing"; moby `distribution/push_v2.go` for the wording.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

import msgspec
from isal import isal_zlib

from firkin.errors import Internal
from firkin.ids import short_id
from firkin.images.auth import Credentials
from firkin.images.client import Client
from firkin.images.collect import Hold
from firkin.images.progress import Progress, Watcher, ignore
from firkin.images.registry import Repository
from firkin.images.shelf import Shelf
from firkin.images.store import Image
from firkin.images.unpack import together
from firkin.oci.digest import Digest
from firkin.oci.manifest import OCI_LAYER, Descriptor, Manifest, encode, parse_manifest
from firkin.oci.reference import Reference
from firkin.storage.content import ContentStore

_STEP = 1 << 18
_UPLOADS = 5
_LEVEL = 2  # of isal's 0 to 3: about gzip's 3 in size, at ten times its speed
_GZIP = 31  # window bits that ask for a gzip header


@dataclass(frozen=True)
class Pushed:
    """What the registry has now."""

    tag: str
    digest: Digest
    size: int  # of the manifest, bytes


async def push(
    shelf: Shelf, client: Client, image: Image, reference: Reference, credentials: Credentials, watch: Watcher
) -> Pushed:
    """Send the image under `reference` and note the digest it has there; raises `Forbidden`, `Unavailable`."""
    watch(Progress("", f"The push refers to repository [{reference.name}]"))
    sources = sources_of(shelf.images, image, reference)
    async with shelf.collector.holding() as hold:
        hold((image.id, image.manifest_digest, *(blob.digest for blob in image.layers)))

        async def deliver(repository: Repository) -> Pushed:
            return await _Push(shelf.content, repository, sources, watch).run(image, hold)

        pushed = await client.push(reference, credentials, sorted(set(sources.values())), deliver)
    if image.id in shelf.images:
        shelf.images.name([reference.with_digest(pushed.digest)], image.id)
    return pushed


def sources_of(images: Iterable[Image], image: Image, target: Reference) -> dict[Digest, str]:
    """For each layer of `image`, the path of another repository of `target`'s registry that has it, as far as we know."""
    wanted = {blob.digest for blob in image.layers}
    return {
        blob.digest: reference.path
        for other in images
        for reference in other.references
        if reference.digest and reference.domain == target.domain and reference.path != target.path
        for blob in other.layers
        if blob.digest in wanted
    }


class _Push:
    """One push to one repository."""

    def __init__(self, content: ContentStore, repository: Repository, sources: dict[Digest, str], watch: Watcher) -> None:
        self._content, self._repository, self._sources, self._watch = content, repository, sources, watch
        self._slots = asyncio.Semaphore(_UPLOADS)

    async def run(self, image: Image, hold: Hold) -> Pushed:
        """Send everything that is missing, the manifest last."""
        data = self._content.read(image.manifest_digest)
        manifest = parse_manifest(data)
        if not isinstance(manifest, Manifest):
            raise Internal(f"push {image.id}: its manifest is an index")
        layers = [await self._packed(blob, hold) for blob in manifest.layers]
        if layers != list(manifest.layers):
            data = encode(msgspec.structs.replace(manifest, layers=tuple(layers)))
        blobs = {blob.digest: blob for blob in layers}
        for blob in blobs.values():
            self._watch(Progress(short_id(blob.digest), "Preparing"))
        async with together() as group:
            for blob in blobs.values():
                group.create_task(self._send(blob, self._watch))
            group.create_task(self._send(manifest.config, ignore))
        tag = self._repository.reference.tag
        digest = await self._repository.put_manifest(tag, data, manifest.media_type)
        self._watch(Progress("", f"{tag}: digest: {digest} size: {len(data)}"))
        return Pushed(tag, digest, len(data))

    async def _packed(self, blob: Descriptor, hold: Hold) -> Descriptor:
        """The layer as it travels: `blob` itself, or a packed copy of a plain one."""
        if blob.compression != "none" or blob.is_foreign:
            return blob
        packed = await asyncio.to_thread(_pack, self._content, blob)
        hold([packed.digest])
        return packed

    async def _send(self, blob: Descriptor, watch: Watcher) -> None:
        watch(Progress(short_id(blob.digest), await self._deliver(blob, watch)))

    async def _deliver(self, blob: Descriptor, watch: Watcher) -> str:
        """Make the registry have the blob; how that went."""
        if blob.is_foreign:
            return "Skipped foreign layer"
        async with self._slots:
            if await self._repository.has_blob(blob.digest):
                return "Layer already exists"
            source = self._sources.get(blob.digest, "")
            place = await self._repository.begin_upload(blob.digest, source)
            if place is None:
                return f"Mounted from {source}"
            await self._repository.upload_blob(place, blob.digest, blob.size, lambda: self._body(blob, watch))
            return "Pushed"

    async def _body(self, blob: Descriptor, watch: Watcher) -> AsyncIterator[bytes]:
        sent = 0
        for chunk in _read(self._content, blob.digest):
            yield chunk
            sent += len(chunk)
            watch(Progress(short_id(blob.digest), "Pushing", sent, blob.size))


def _pack(content: ContentStore, blob: Descriptor) -> Descriptor:
    """A gzip copy of a plain layer in the content store."""
    packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
    with content.ingest() as ingest:
        for chunk in _read(content, blob.digest):
            ingest.write(packer.compress(chunk))
        ingest.write(packer.flush())
        return Descriptor(OCI_LAYER + "+gzip", ingest.commit(), ingest.offset)


def _read(content: ContentStore, digest: Digest) -> Iterator[bytes]:
    with open(content.open(digest), "rb", buffering=0) as file:
        while chunk := file.read(_STEP):
            yield chunk
