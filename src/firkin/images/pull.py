"""Pull: a reference becomes blobs in the content store and unpacked layers, fetched and unpacked side by side.

Deciding (which manifest, which layers are missing) is apart from doing; what the registry says is believed only as far as
digests and sizes prove it. An image is put on record, and named, only when all of it is here.
Source: moby `distribution/pull_v2.go` for order, progress and wording.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from firkin.errors import Invalid, NotFound, Unsupported
from firkin.ids import short_id
from firkin.images.auth import Credentials
from firkin.images.client import Client
from firkin.images.collect import Hold
from firkin.images.fetch import fetch_blob
from firkin.images.flights import Flights
from firkin.images.progress import Progress, Watcher, ignore
from firkin.images.registry import Fetched, Repository
from firkin.images.shelf import Shelf
from firkin.images.store import Image
from firkin.images.unpack import checked, layers_of
from firkin.oci.digest import Digest
from firkin.oci.image import ImageConfig, parse_image_config
from firkin.oci.manifest import Descriptor, Manifest, parse_manifest
from firkin.oci.platform import Platform, serves
from firkin.oci.reference import Reference

_DEEPEST_INDEX = 3


@dataclass(frozen=True)
class Wanted:
    """One pull: what, for which platform (`explicit` when a person said so)."""

    reference: Reference
    platform: Platform
    explicit: bool = False


@dataclass(frozen=True)
class _Pulled:
    """What is here now: `digest` is what the reference led to, an index perhaps; `manifest` is the image's own."""

    digest: Digest
    manifest: Digest


class Puller:
    """What all pulls of one engine share: the shelf they fill and the transfers they join."""

    def __init__(self, shelf: Shelf, client: Client, downloads: int) -> None:
        self._shelf, self._client = shelf, client
        self._downloads: Flights[None] = Flights()
        self.allow(downloads)

    def allow(self, downloads: int) -> None:
        """So many at once; those under way do not count."""
        self._slots = asyncio.Semaphore(downloads)

    async def pull(self, wanted: Wanted, credentials: Credentials, watch: Watcher) -> Image:
        """Bring in all of the image that is not here and put it on record. Raises whatever kind of error fits; then nothing
        stays but what a later pull can resume."""
        reference = wanted.reference
        async with self._shelf.collector.holding() as hold:
            pulled = await self._client.pull(
                reference, credentials, lambda repository: self._pull(repository, wanted, hold, watch)
            )
            before = self._shelf.images.named(reference)
            canonical = reference.with_digest(pulled.digest)
            image = self._shelf.record(pulled.manifest, [canonical] if reference.digest else [reference, canonical])
        outcome = "Image is up to date" if before == image.id else "Downloaded newer image"
        watch(Progress("", f"Digest: {pulled.digest}"))
        watch(Progress("", f"Status: {outcome} for {reference.familiar}"))
        return image

    async def _pull(self, repository: Repository, wanted: Wanted, hold: Hold, watch: Watcher) -> _Pulled:
        """`hold` is given everything this pull needs before it is asked whether it is here."""
        name = wanted.reference.digest or wanted.reference.tag
        top = await self._manifest(repository, name, wanted.reference.digest or await repository.resolve(name))
        watch(Progress(name, f"Pulling from {wanted.reference.path}"))
        fetched, manifest = await self._image_manifest(repository, top, wanted)
        hold((fetched.digest, manifest.config.digest, *(blob.digest for blob in manifest.layers)))
        config = await self._config(repository, manifest, wanted)
        layers = layers_of(manifest, config)
        hold(config.rootfs.chain)
        await self._shelf.unpacking.unpack(layers, partial(self._bring, repository), watch)
        self._shelf.content.put_bytes(fetched.data)
        return _Pulled(top.digest, fetched.digest)

    async def _manifest(self, repository: Repository, name: str, digest: Digest | None) -> Fetched:
        """The manifest or index `name`, from our own store if `digest` tells that it is here."""
        if digest and self._shelf.content.has(digest):
            return Fetched(self._shelf.content.read(digest), "", digest)
        return await repository.manifest(name)

    async def _image_manifest(self, repository: Repository, fetched: Fetched, wanted: Wanted) -> tuple[Fetched, Manifest]:
        """Through indexes down to the one manifest for the wanted platform."""
        for _ in range(_DEEPEST_INDEX):
            document = parse_manifest(fetched.data, fetched.media_type)
            if isinstance(document, Manifest):
                return fetched, checked(document)
            chosen = document.choose(wanted.platform)
            if chosen is None:
                raise NotFound(f"no matching manifest for {wanted.platform} in the manifest list entries")
            fetched = await self._manifest(repository, chosen.digest, chosen.digest)
            if len(fetched.data) != chosen.size:
                raise Invalid(
                    f"fetch manifest {chosen.digest}: it has {len(fetched.data)} bytes, not {chosen.size} as promised"
                )
        raise Invalid(f"fetch manifest of {wanted.reference.familiar}: too many indexes within indexes")

    async def _config(self, repository: Repository, manifest: Manifest, wanted: Wanted) -> ImageConfig:
        await self._bring(repository, manifest.config, ignore)
        config = parse_image_config(self._shelf.content.read(manifest.config.digest))
        if config.os not in ("", "linux"):
            raise Unsupported(f'image operating system "{config.os}" cannot be used on this platform')
        if wanted.explicit and not serves(config.platform, wanted.platform):
            raise NotFound(
                f"image with reference {wanted.reference.familiar} was found but its platform ({config.platform}) "
                f"does not match the specified platform ({wanted.platform})"
            )
        return config

    async def _bring(self, repository: Repository, blob: Descriptor, watch: Watcher) -> None:
        await self._downloads.once(blob.digest, partial(self._download, repository, blob), watch)

    async def _download(self, repository: Repository, blob: Descriptor, watch: Watcher) -> None:
        if self._slots.locked():
            watch(Progress(short_id(blob.digest), "Waiting"))
        async with self._slots:
            await fetch_blob(repository, self._shelf.content, blob, watch)
