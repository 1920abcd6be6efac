"""From blobs to layers, side by side: the step that pull, load and import share.

Invariant: however many operations want a layer at the same time, it is made once. A layer is unpacked while its blob still
arrives and in whatever order; only settling it on the layer below waits for that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from firkin.errors import Invalid, Unavailable, Unsupported
from firkin.ids import short_id
from firkin.images.flights import Flights
from firkin.images.progress import Progress, Watcher
from firkin.oci.digest import Digest
from firkin.oci.image import LARGEST_CONFIG, ImageConfig
from firkin.oci.manifest import CONFIG_TYPES, Descriptor, Manifest
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers
from firkin.storage.unpacking import Unpacked

Bring = Callable[[Descriptor, Watcher], Awaitable[None]]  # makes the content store hold a blob


@dataclass(frozen=True)
class Layer:
    """One layer of an image: its blob, and its place once unpacked."""

    blob: Descriptor
    diff_id: Digest
    chain_id: Digest
    parent: Digest | str  # the chain id it lies on, "" for none


def layers_of(manifest: Manifest, config: ImageConfig) -> list[Layer]:
    """The image's layers, bottom first; raises `Invalid` when manifest and configuration disagree on their number."""
    diff_ids, chain = config.rootfs.diff_ids, config.rootfs.chain
    if len(diff_ids) != len(manifest.layers):
        raise Invalid(f"the manifest has {len(manifest.layers)} layers, but the image configuration {len(diff_ids)}")
    parents = ("", *chain[:-1])
    return [Layer(*parts) for parts in zip(manifest.layers, diff_ids, chain, parents, strict=False)]


def checked(manifest: Manifest) -> Manifest:
    """`manifest`, if it is that of an image which can be unpacked here."""
    if manifest.config.media_type not in CONFIG_TYPES:
        raise Unsupported(f"unpack an artifact of type {manifest.config.media_type!r}: it is not a container image")
    if manifest.config.size > LARGEST_CONFIG:
        raise Invalid(f"read image configuration: {manifest.config.size} bytes is more than the limit of {LARGEST_CONFIG}")
    for blob in manifest.layers:
        _ = blob.compression  # raises for a layer of unknown form, before anything is fetched
    return manifest


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first failure is raised as it is, once the other tasks have been cancelled and have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0]


class Unpacking:
    """Layers being made in one engine."""

    def __init__(self, content: ContentStore, layers: Layers) -> None:
        self._content, self._layers = content, layers
        self._flights: Flights[None] = Flights()

    async def unpack(self, layers: Sequence[Layer], bring: Bring, watch: Watcher) -> None:
        """Make all `layers`, bottom first, and keep their blobs; `bring` is called for each blob that is missing."""
        below: asyncio.Task[None] | None = None
        async with together() as group:
            for layer in layers:
                below = group.create_task(self._layer(layer, bring, below, watch))

    async def _layer(self, layer: Layer, bring: Bring, below: asyncio.Task[None] | None, watch: Watcher) -> None:
        short = short_id(layer.blob.digest)
        if self._layers.has(layer.chain_id) and self._content.has(layer.blob.digest):
            watch(Progress(short, "Already exists"))
            return
        watch(Progress(short, "Pulling fs layer"))
        await self._flights.once(layer.chain_id, partial(self._make, layer, bring, below), watch)
        watch(Progress(short, "Pull complete"))

    async def _make(self, layer: Layer, bring: Bring, below: asyncio.Task[None] | None, watch: Watcher) -> None:
        if self._layers.has(layer.chain_id):
            return await bring(layer.blob, watch)
        unpacked = await self._bring_and_unpack(layer, bring, watch)
        try:
            if below:
                await below
        except BaseException:
            self._layers.discard(unpacked)
            raise
        await self._layers.settle(unpacked, layer.parent)

    async def _bring_and_unpack(self, layer: Layer, bring: Bring, watch: Watcher) -> Unpacked:
        """Unpack from the first byte that arrives; if that fails, once more from the whole, verified blob."""
        blob, arrives = layer.blob, asyncio.Event()

        def hear(progress: Progress) -> None:
            if self._content.arriving(blob.digest):
                arrives.set()
            watch(progress)

        async def download() -> None:
            if not self._content.has(blob.digest):
                await bring(blob, hear)
            arrives.set()
            watch(Progress(short_id(blob.digest), "Extracting", blob.size, blob.size))

        async def unpack() -> Unpacked:
            await arrives.wait()
            try:
                return await self._layers.unpack(blob.digest, layer.diff_id)
            except (Invalid, Unavailable):
                if downloading.done():
                    raise
                await downloading  # if it fails too, that explains better what was wrong with the first part
                return await self._layers.unpack(blob.digest, layer.diff_id)

        async with together() as group:
            downloading = group.create_task(download())
            unpacking = group.create_task(unpack())
        return unpacking.result()
