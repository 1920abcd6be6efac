"""An image made here: from a tar stream alone (import), or from one on top of another image (commit)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass

import msgspec

from firkin.images.shelf import NO_PARENT, Shelf
from firkin.images.store import Image
from firkin.images.times import format_time
from firkin.oci.digest import Digest
from firkin.oci.image import History, ImageConfig, RootFS, RunConfig
from firkin.oci.manifest import OCI_LAYER, Descriptor
from firkin.oci.platform import Platform, host_platform
from firkin.oci.reference import Reference

# What a stream's first bytes say of its compression; others than these no registry would take for a layer.
_MAGIC = ((b"\x1f\x8b", "+gzip"), (b"\x28\xb5\x2f\xfd", "+zstd"))


@dataclass(frozen=True)
class Recipe:
    """What the new image's configuration says beside its layers."""

    config: RunConfig
    created_by: str = ""
    comment: str = ""
    author: str = ""
    platform: Platform | None = None  # the base's, else this machine's
    container: str = ""


async def make(
    shelf: Shelf, base: Image | None, layer: AsyncIterable[bytes], recipe: Recipe, names: Iterable[Reference]
) -> Image:
    """`layer`, a tar stream (plain or packed), on top of `base`, on record under `names`. Raises `Invalid` for a hostile or
    broken archive, `Unavailable` for a full disk; then nothing is left of it."""
    async with shelf.collector.holding() as hold:
        if base:
            hold((base.id, *base.chain, *(blob.digest for blob in base.layers)))
        blob = await _store(shelf, layer)
        hold([blob.digest])
        unpacked = await shelf.layers.unpack(blob.digest)
        chain = base.chain if base else ()
        record = await shelf.layers.settle(unpacked, chain[-1] if chain else "")
        hold([record.chain_id])
        config = _config(base, recipe, record.diff_id)
        return shelf.put(config, (*(base.layers if base else ()), blob), names, base.id if base else NO_PARENT)


async def _store(shelf: Shelf, layer: AsyncIterable[bytes]) -> Descriptor:
    head, size = b"", 0
    with shelf.content.ingest() as ingest:
        async for chunk in layer:
            head = head or chunk[:8]
            ingest.write(chunk)
            size += len(chunk)
        digest = ingest.commit()
    return Descriptor(OCI_LAYER + packing(head), digest, size)


def packing(head: bytes) -> str:
    """How a stream that begins with `head` is packed, as layer media types say it: "", "+gzip" or "+zstd"."""
    return next((suffix for magic, suffix in _MAGIC if head.startswith(magic)), "")


def _config(base: Image | None, recipe: Recipe, diff_id: Digest) -> ImageConfig:
    created = format_time(time.time_ns())
    below = base.config if base else ImageConfig(RootFS())
    platform = recipe.platform or (base.config.platform if base else host_platform())
    return ImageConfig(
        msgspec.structs.replace(below.rootfs, diff_ids=(*below.rootfs.diff_ids, diff_id)),
        platform.architecture,
        platform.os,
        platform.variant,
        created=created,
        author=recipe.author,
        config=recipe.config,
        history=(*below.history, History(created, recipe.created_by, recipe.author, recipe.comment)),
        comment=recipe.comment,
        container=recipe.container,
    )
