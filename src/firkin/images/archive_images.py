"""What the members of an image archive mean: an OCI image layout, or Docker's manifest.json.

Invariant: a document is used only if its digest is the one it was called by; documents and their number have limits.
Source: OCI image-layout.md; moby image spec v1.2 (`docker save` before version 25, skopeo's docker-archive).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from firkin.errors import Invalid, Unsupported
from firkin.images.archive_read import Archive
from firkin.images.archive_write import NAME_ANNOTATION, TAG_ANNOTATION
from firkin.oci import foreign_json
from firkin.oci.digest import Digest, digest_of
from firkin.oci.manifest import (
    LARGEST_MANIFEST,
    MOST_LAYERS,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    encode,
    parse_manifest,
)
from firkin.oci.platform import Platform
from firkin.oci.reference import Reference, parse_reference
from firkin.storage.content import ContentStore

_MOST_IMAGES = 1000
_DEEPEST_INDEX = 3


@dataclass(frozen=True)
class Found:
    """One image of the archive. `manifest` is the archive's own or, where it has none, one made for it."""

    manifest: bytes
    config: bytes
    names: tuple[Reference, ...]


def images_of(archive: Archive, content: ContentStore, wanted: Platform) -> list[Found]:
    """The archive's images: of its OCI index if it has one, else of Docker's manifest.json. Raises `Invalid`."""
    if archive.find("index.json"):
        return list(_oci_images(archive, content, wanted))
    if archive.find("manifest.json"):
        return list(_docker_images(archive, content))
    if archive.find("repositories"):
        raise Unsupported("load archive: it is of Docker 1.9 or older; images of that form are no longer supported")
    raise Invalid("load archive: it has neither index.json nor manifest.json, so it is no image archive")


def _document(archive: Archive, content: ContentStore, name: str) -> bytes:
    member = archive.find(name)
    if member is None:
        raise Invalid(f"load archive: it lacks {name}")
    if member.size > LARGEST_MANIFEST:
        raise Invalid(f"load archive: {name} has {member.size} bytes, more than the limit of {LARGEST_MANIFEST}")
    return content.read(member.digest)


def _blob(archive: Archive, content: ContentStore, descriptor: Descriptor) -> bytes:
    data = _document(archive, content, f"blobs/sha256/{descriptor.digest.removeprefix('sha256:')}")
    if digest_of(data) != descriptor.digest:
        raise Invalid(f"load archive: the blob called {descriptor.digest} is {digest_of(data)}")
    return data


def _oci_images(archive: Archive, content: ContentStore, wanted: Platform) -> Iterator[Found]:
    index = parse_manifest(_document(archive, content, "index.json"))
    if not isinstance(index, Index):
        raise Invalid("load archive: index.json is not an index")
    by_image: dict[Digest, tuple[Descriptor, list[Reference]]] = {}
    for descriptor in index.manifests[:_MOST_IMAGES]:
        by_image.setdefault(descriptor.digest, (descriptor, []))[1].extend(_annotated(descriptor))
    for descriptor, names in by_image.values():
        data = _blob(archive, content, descriptor)
        document = parse_manifest(data, descriptor.media_type)
        for _ in range(_DEEPEST_INDEX):
            if isinstance(document, Manifest):
                break
            chosen = document.choose(wanted)
            if chosen is None:
                raise Invalid(f"load archive: no matching manifest for {wanted} in the manifest list entries")
            data = _blob(archive, content, chosen)
            document = parse_manifest(data, chosen.media_type)
        if isinstance(document, Manifest):
            for blob in document.layers:
                if not archive.find(f"blobs/sha256/{blob.digest.removeprefix('sha256:')}"):
                    raise Invalid(f"load archive: it lacks layer {blob.digest}")
            yield Found(data, _blob(archive, content, document.config), tuple(names))


def _annotated(descriptor: Descriptor) -> list[Reference]:
    """The name an index gives to one of its images; a bare tag (skopeo's) names nothing."""
    text = descriptor.annotations.get(NAME_ANNOTATION, "")
    if not text and "/" in descriptor.annotations.get(TAG_ANNOTATION, ""):
        text = descriptor.annotations[TAG_ANNOTATION]
    return [_name(text)] if text else []


def _name(text: str) -> Reference:
    reference = parse_reference(text)
    if reference.digest or not reference.tag:
        raise Invalid(f"load archive: invalid tag {text!r}")
    return reference


class _Entry(msgspec.Struct, rename="pascal"):
    """One entry of Docker's manifest.json."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None


def _docker_images(archive: Archive, content: ContentStore) -> Iterator[Found]:
    try:
        entries: list[_Entry] = foreign_json.loads(_document(archive, content, "manifest.json"), list[_Entry])
    except ValueError as error:
        raise Invalid(f"load archive: manifest.json: {error}")
    for entry in entries[:_MOST_IMAGES]:
        data = _document(archive, content, entry.config)
        layers = [_layer(archive, name) for name in (entry.layers or [])[:MOST_LAYERS]]
        manifest = Manifest(2, OCI_MANIFEST, Descriptor(OCI_CONFIG, digest_of(data), len(data)), tuple(layers))
        yield Found(encode(manifest), data, tuple(_name(text) for text in entry.repo_tags or []))


def _layer(archive: Archive, name: str) -> Descriptor:
    member = archive.find(name)
    if member is None:
        raise Invalid(f"load archive: it lacks layer {name}")
    return Descriptor(OCI_LAYER + member.packing, member.digest, member.size)
