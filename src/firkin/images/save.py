"""Save: images of the shelf as one archive stream; nothing of it is held in memory or on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from firkin.errors import FirkinError
from firkin.images.archive_write import Archived, archive_chunks
from firkin.images.bridge import in_thread
from firkin.images.shelf import Shelf
from firkin.images.store import Image, find
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference, parse_reference


def selected(shelf: Shelf, names: Sequence[str]) -> dict[Digest, list[Reference]]:
    """The images meant by `names`, with the tags to save them under: a bare repository means all its tags, an id none.
    Raises `NotFound`."""
    chosen: dict[Digest, list[Reference]] = {}
    for name in names:
        for image, tags in _meant(shelf, name):
            known = chosen.setdefault(image.id, [])
            known += [tag for tag in tags if tag not in known]
    return chosen


def _meant(shelf: Shelf, name: str) -> list[tuple[Image, list[Reference]]]:
    try:
        reference = parse_reference(name)
    except FirkinError:
        return [(find(shelf.images, name), [])]
    if not reference.tag and not reference.digest:
        whole = [(image, [r for r in image.references if r.name == reference.name and r.tag]) for image in shelf.images]
        if any(tags for _, tags in whole):
            return [(image, tags) for image, tags in whole if tags]
    image = find(shelf.images, name)
    return [(image, [reference] if reference.tag and shelf.images.named(reference) else [])]


async def save(shelf: Shelf, chosen: dict[Digest, list[Reference]]) -> AsyncIterator[bytes]:
    """The archive of the images `chosen` under those tags, piece by piece."""
    images = [(shelf.images.get(image_id), tuple(tags)) for image_id, tags in chosen.items()]
    archived = [Archived(shelf.content.read(i.id), shelf.content.read(i.manifest_digest), tags) for i, tags in images]
    async with shelf.collector.holding() as hold:
        hold(blob.digest for image, _ in images for blob in image.layers)
        async for chunk in in_thread(archive_chunks(archived, shelf.content.path)):
            yield chunk
