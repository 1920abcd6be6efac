"""An image archive as a tar stream: an OCI image layout and Docker's manifest.json over the same blobs.

Nothing is written to disk: members come one after the other, blobs straight from their files.
Source: OCI image-layout.md; moby image spec v1.2 ("Combined Image JSON + Filesystem Changeset Format"); the two together are
what `docker save` writes since version 25.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from firkin.oci.digest import Digest, digest_of, hex_of
from firkin.oci.image import parse_image_config
from firkin.oci.manifest import OCI_INDEX, Descriptor, Index, Manifest, encode, parse_manifest
from firkin.oci.reference import Reference

NAME_ANNOTATION = "io.containerd.image.name"
TAG_ANNOTATION = "org.opencontainers.image.ref.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_STEP = 1 << 20


@dataclass(frozen=True)
class Archived:
    """One image to write: its documents, and the names it shall have (none: known by id only)."""

    config: bytes
    manifest: bytes
    tags: tuple[Reference, ...]

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        document = parse_manifest(self.manifest)
        return document.layers if isinstance(document, Manifest) else ()


def archive_chunks(images: Sequence[Archived], blob_path: Callable[[Digest], str]) -> Iterator[bytes]:
    """The whole archive; `blob_path` tells where a layer's blob lies. Every blob is there once."""
    layers = {blob.digest: blob for image in images for blob in image.layers}
    documents = {digest_of(data): data for image in images for data in (image.config, image.manifest)}
    yield _directory("blobs/") + _directory("blobs/sha256/")
    for digest, data in documents.items():
        yield from _member(f"blobs/sha256/{hex_of(digest)}", data)
    for digest, blob in layers.items():
        yield from _file_member(f"blobs/sha256/{hex_of(digest)}", blob.size, blob_path(digest))
    yield from _member("index.json", _index(images))
    yield from _member("manifest.json", _docker_manifest(images))
    yield from _member("oci-layout", _LAYOUT)
    yield from _member("repositories", _repositories(images))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _index(images: Sequence[Archived]) -> bytes:
    """One descriptor for each name: names are annotations."""
    entries = []
    for image in images:
        media_type, platform = parse_manifest(image.manifest).media_type, parse_image_config(image.config).platform
        descriptor = Descriptor(media_type, digest_of(image.manifest), len(image.manifest), platform=platform)
        for names in [{NAME_ANNOTATION: str(tag), TAG_ANNOTATION: tag.tag} for tag in image.tags] or [{}]:
            entries.append(msgspec.structs.replace(descriptor, annotations=names))
    return encode(Index(2, OCI_INDEX, tuple(entries)))


def _docker_manifest(images: Sequence[Archived]) -> bytes:
    return msgspec.json.encode(
        [
            {
                "Config": f"blobs/sha256/{hex_of(digest_of(image.config))}",
                "RepoTags": [tag.familiar for tag in image.tags] or None,
                "Layers": [f"blobs/sha256/{hex_of(blob.digest)}" for blob in image.layers],
            }
            for image in images
        ]
    )


def _repositories(images: Sequence[Archived]) -> bytes:
    names: dict[str, dict[str, str]] = {}
    for image in images:
        for tag in image.tags:
            top = image.layers[-1].digest if image.layers else digest_of(image.config)
            names.setdefault(tag.familiar_name, {})[tag.tag] = hex_of(top)
    return msgspec.json.encode(names)


def _directory(name: str) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member.tobuf(tarfile.PAX_FORMAT)


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data)) + data + _padding(len(data))


def _file_member(name: str, size: int, path: str) -> Iterator[bytes]:
    yield _header(name, size)
    with open(path, "rb") as file:
        while chunk := file.read(_STEP):
            yield chunk
    yield _padding(size)
