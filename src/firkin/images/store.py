"""Which images there are and what they are called: one record each and one table of names, on disk before anyone is told.

Invariants: a name points at an image that is here; an image's configuration and manifest are blobs in the content store,
so a record holds only what those cannot say. An image whose blobs are gone (a disk repaired by hand) is not listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firkin.errors import FirkinError, NotFound
from firkin.oci.digest import Digest, hex_of
from firkin.oci.image import ImageConfig, parse_image_config
from firkin.oci.manifest import Descriptor, Manifest, parse_manifest
from firkin.oci.reference import Reference, parse_reference
from firkin.paths import Layout
from firkin.storage.content import ContentStore
from firkin.storage.files import remove_if_there, sweep_unfinished
from firkin.storage.records import read_record, write_record


@dataclass(frozen=True)
class ImageRecord:
    """What is stored of an image beside its blobs."""

    id: Digest
    manifest: Digest
    size: int  # bytes of all layers unpacked
    parent: Digest = Digest("")  # noqa: RUF009
    last_tagged: int = 0  # ns


@dataclass(frozen=True)
class Image:
    """One image at one moment. `chain` and `layers` (the blobs) go bottom first."""

    record: ImageRecord
    config: ImageConfig
    layers: tuple[Descriptor, ...]
    references: tuple[Reference, ...]

    @property
    def id(self) -> Digest:
        return self.record.id

    @property
    def manifest_digest(self) -> Digest:
        return self.record.manifest

    @property
    def size(self) -> int:
        return self.record.size

    @property
    def parent(self) -> Digest:
        return self.record.parent

    @property
    def chain(self) -> tuple[Digest, ...]:
        return self.config.rootfs.chain

    @property
    def tags(self) -> list[str]:
        """`nginx:latest`, ... as people write them."""
        return sorted(reference.familiar for reference in self.references if not reference.digest)

    @property
    def repo_digests(self) -> list[str]:
        """`nginx@sha256:...`: under which digests repositories know it."""
        return sorted(reference.familiar for reference in self.references if reference.digest)


class ImageStore:
    """All images of one engine. Everything is synchronous and small; one thread uses it."""

    def __init__(self, layout: Layout, content: ContentStore) -> None:
        self._directory, self._content = layout.images, content
        self._records: dict[Digest, ImageRecord] = {}
        self._names: dict[Reference, Digest] = {}
        self._parsed: dict[Digest, tuple[ImageConfig, Manifest]] = {}

    def load(self) -> None:
        """Read every record and name on disk; a name whose image is not here is dropped."""
        os.makedirs(self._directory, mode=0o710, exist_ok=True)
        sweep_unfinished(self._directory)
        for name in os.listdir(self._directory):
            stem, dot, _ = name.partition(".json")
            if dot and len(stem) == 64:
                record = read_record(os.path.join(self._directory, name), ImageRecord)
                if self._content.has(record.id) and self._content.has(record.manifest):
                    self._records[record.id] = record
        try:
            names = read_record(self._names_path, dict[str, Digest])
        except NotFound:
            names = {}
        self._names = {parse_reference(text): image for text, image in names.items() if image in self._records}

    def __iter__(self) -> Iterator[Image]:
        return (self.get(image_id) for image_id in list(self._records))

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._records

    def get(self, image_id: Digest) -> Image:
        """The image with exactly this id; raises `NotFound`."""
        record = self._records.get(image_id)
        if record is None:
            raise NotFound(f"No such image: {image_id}")
        config, manifest = self._documents(record)
        return Image(record, config, manifest.layers, tuple(sorted(r for r, to in self._names.items() if to == image_id)))

    def _documents(self, record: ImageRecord) -> tuple[ImageConfig, Manifest]:
        if record.id not in self._parsed:
            manifest = parse_manifest(self._content.read(record.manifest))
            assert isinstance(manifest, Manifest)
            self._parsed[record.id] = parse_image_config(self._content.read(record.id)), manifest
        return self._parsed[record.id]

    def named(self, reference: Reference) -> Digest | None:
        """The id that exactly `reference` stands for."""
        return self._names.get(reference)

    def with_prefix(self, digits: str) -> list[Digest]:
        """Ids of which `digits` (hex, no `sha256:`) is the beginning."""
        return [image_id for image_id in self._records if hex_of(image_id).startswith(digits)]

    def children(self, image_id: Digest) -> list[Digest]:
        return [record.id for record in self._records.values() if record.parent == image_id]

    def add(self, record: ImageRecord) -> None:
        """Make an image known (again); its blobs are in the content store already."""
        self._parsed.pop(record.id, None)
        write_record(self._record_path(record.id), record, durable=True)
        self._records[record.id] = record

    def discard(self, image_id: Digest) -> None:
        """Forget the image and every name of it."""
        self.unname(r for r, to in list(self._names.items()) if to == image_id)
        remove_if_there(self._record_path(image_id))
        self._records.pop(image_id, None)
        self._parsed.pop(image_id, None)

    def name(self, references: Iterable[Reference], image_id: Digest) -> None:
        """Let every one of `references` stand for the image, whatever it stood for."""
        self._write_names({**self._names, **dict.fromkeys(references, image_id)})

    def unname(self, references: Iterable[Reference]) -> None:
        gone = set(references)
        if gone:
            self._write_names({reference: to for reference, to in self._names.items() if reference not in gone})

    def _write_names(self, names: dict[Reference, Digest]) -> None:
        write_record(self._names_path, {str(reference): to for reference, to in names.items()}, durable=True)
        self._names = names

    @property
    def _names_path(self) -> str:
        return os.path.join(self._directory, "references.json")

    def _record_path(self, image_id: Digest) -> str:
        return os.path.join(self._directory, f"{hex_of(image_id)}.json")


def find(store: ImageStore, text: str) -> Image:
    """The image a person means by a name, a name with a digest, an id or the beginning of one; raises `NotFound`."""
    digits = text.removeprefix("sha256:")
    if len(digits) == 64 and Digest(f"sha256:{digits}") in store:
        return store.get(Digest(f"sha256:{digits}"))
    try:
        reference = parse_reference(text).with_default_tag()
    except FirkinError:
        reference = None
    found = store.named(reference) if reference else None
    if found is None and reference and reference.digest and reference.tag:
        found = store.named(reference.with_digest(reference.digest))
    if found is None:
        matches = store.with_prefix(digits) if digits else []
        if len(matches) != 1:
            raise NotFound(f"No such image: {reference.familiar if reference else text}")
        found = matches[0]
    return store.get(found)
