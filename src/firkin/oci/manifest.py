"""Manifests and indexes: which blobs make an image, and which image is for which machine.

A document is refused unless it is one thing: what its `mediaType` says, what the sender's Content-Type says, and what its
members say must agree (CVE-2021-41190). Digests and sizes are checked here for form, by whoever fetches for truth.
Source: OCI image spec manifest.md, image-index.md, descriptor.md; Docker image manifest version 2, schema 2.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from firkin.errors import Invalid, Unsupported
from firkin.oci.digest import Digest
from firkin.oci.platform import Platform, choose

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
CONFIG_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
LARGEST_MANIFEST = 4 << 20
MOST_LAYERS = 1000

Compression = Literal["none", "gzip", "zstd"]
Sha256 = Annotated[Digest, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

_LAYER_TYPES: dict[str, Compression] = {
    OCI_LAYER: "none",
    OCI_LAYER + "+gzip": "gzip",
    OCI_LAYER + "+zstd": "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER + ".gzip": "gzip",
    DOCKER_LAYER + ".zstd": "zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar": "none",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": "gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": "zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar": "none",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": "gzip",
}


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A blob by type, digest and size in bytes. `urls`: where else the bytes may be had (foreign layers)."""

    media_type: str
    digest: Sha256
    size: Size
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""

    @property
    def compression(self) -> Compression:
        """How a layer is packed; raises `Unsupported` for what is no layer Firkin can unpack."""
        try:
            return _LAYER_TYPES[self.media_type]
        except KeyError:
            raise Unsupported(f"unpack layer {self.digest}: unsupported media type {self.media_type!r}")

    @property
    def is_foreign(self) -> bool:
        """Whether the layer may not be redistributed by pushing it."""
        return "nondistributable" in self.media_type or "foreign" in self.media_type


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One image: a configuration and its layers, bottom first."""

    schema_version: Literal[2]
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Several images under one name, one for each platform."""

    schema_version: Literal[2]
    media_type: str
    manifests: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}

    def choose(self, wanted: Platform) -> Descriptor | None:
        """The entry that runs best on `wanted`; attestations and other artifacts name no such platform."""
        images = [m for m in self.manifests if m.media_type in (*MANIFEST_TYPES, *INDEX_TYPES)]
        position = choose([m.platform for m in images], wanted)
        return None if position is None else images[position]


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """`data` as a manifest or an index. `media_type` is what the sender called it ("" when it did not say).
    Raises `Invalid`, or `Unsupported` for Docker's long dead schema 1."""
    if len(data) > LARGEST_MANIFEST:
        raise Invalid(f"parse manifest: {len(data)} bytes is more than the limit of {LARGEST_MANIFEST}")
    document = decode_object(data, "manifest")
    if document.get("schemaVersion") == 1:
        raise Unsupported("parse manifest: Docker image manifest version 2, schema 1 is no longer supported")
    kind = _kind(document, media_type.partition(";")[0].strip())
    model = Index if kind in INDEX_TYPES else Manifest
    parsed: Manifest | Index = convert({**document, "mediaType": kind}, model, "manifest")
    if isinstance(parsed, Manifest) and len(parsed.layers) > MOST_LAYERS:
        raise Invalid(f"parse manifest: {len(parsed.layers)} layers is more than the limit of {MOST_LAYERS}")
    return parsed


def _kind(document: dict[str, Any], sent_as: str) -> str:
    """The one media type that the sender, the document's own word and its members agree on; `Invalid` if they do not."""
    said = document.get("mediaType", "")
    if said and sent_as and sent_as in (*MANIFEST_TYPES, *INDEX_TYPES) and said != sent_as:
        raise Invalid(f"parse manifest: it was sent as {sent_as!r} but calls itself {said!r}")
    is_image, is_index = "layers" in document or "config" in document, "manifests" in document
    if is_image and is_index:
        raise Invalid("parse manifest: it has both layers and manifests, so it could be taken for either")
    kind = said or sent_as
    if kind not in (*MANIFEST_TYPES, *INDEX_TYPES):
        kind = (OCI_INDEX if is_index else OCI_MANIFEST) if not said else str(said)
    if kind not in (INDEX_TYPES if is_index else MANIFEST_TYPES):
        raise Invalid(f"parse manifest: unsupported or untrue media type {kind!r}")
    return kind


def encode(document: Manifest | Index) -> bytes:
    """The document's JSON; its digest is its name from then on."""
    return msgspec.json.encode(document)


def decode_object(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`, members that are null left out (to Go, which wrote most of these, null is absent)."""
    try:
        document = _without_nulls(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"parse {what}: {error}")
    if not isinstance(document, dict):
        raise Invalid(f"parse {what}: not a JSON object")
    return document


def convert(document: dict[str, Any], model: Any, what: str) -> Any:
    """`document` as an instance of the struct `model`; raises `Invalid` naming the member that does not fit."""
    try:
        return msgspec.convert(document, model)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Invalid(f"parse {what}: {error}")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in value if member is not None]
    return value
