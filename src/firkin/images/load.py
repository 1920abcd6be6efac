"""Load: the images of an archive that streams in, on record under the names the archive gives them."""

from __future__ import annotations

from collections.abc import AsyncIterable

from firkin.errors import Invalid
from firkin.ids import short_id
from firkin.images.archive_images import Found, images_of
from firkin.images.archive_read import Archive, read_members
from firkin.images.bridge import Read, from_chunks
from firkin.images.collect import Hold
from firkin.images.progress import Progress, Watcher
from firkin.images.shelf import Shelf
from firkin.images.store import Image
from firkin.images.unpack import checked, layers_of
from firkin.oci.image import parse_image_config
from firkin.oci.manifest import Descriptor, Manifest, parse_manifest
from firkin.oci.platform import host_platform
from firkin.oci.reference import Reference
from firkin.storage.decompress import Counted, uncompressed


async def load(
    shelf: Shelf, chunks: AsyncIterable[bytes], limit: int, watch: Watcher
) -> list[tuple[Image, tuple[Reference, ...]]]:
    """All images of the archive `chunks` (plain, gzip, zstd, bzip2 or xz; at most `limit` bytes once unpacked) and the names
    each was given. Raises `Invalid` for anything broken or hostile; what was not placed until then leaves nothing."""
    archive = Archive()

    def read(source: Read) -> None:
        read_members(archive, shelf.content, iter(Counted(uncompressed(source), limit)))

    async with shelf.collector.holding() as hold:
        try:
            await from_chunks(chunks, read)
        finally:
            hold(member.digest for member in archive.members.values())
        found = images_of(archive, shelf.content, host_platform())
        return [(await _place(shelf, image, hold, watch), image.names) for image in found]


async def _place(shelf: Shelf, found: Found, hold: Hold, watch: Watcher) -> Image:
    manifest, config = parse_manifest(found.manifest), parse_image_config(found.config)
    if not isinstance(manifest, Manifest) or manifest.config.digest != config.id:
        raise Invalid("load archive: manifest and image configuration do not belong together")
    layers = layers_of(checked(manifest), config)
    hold((shelf.content.put_bytes(found.config), shelf.content.put_bytes(found.manifest), *config.rootfs.chain))

    def report(progress: Progress) -> None:
        if progress.total:
            watch(Progress(progress.id, "Loading layer", progress.current, progress.total))

    await shelf.unpacking.unpack(layers, _missing, report)
    return shelf.record(shelf.content.put_bytes(found.manifest), found.names)


async def _missing(blob: Descriptor, _: Watcher) -> None:
    raise Invalid(f"load archive: it lacks layer {short_id(blob.digest)}")
