"""Where images stand: the stores that pull, load, import, commit and from-host fill, and the one way to put an image there.

Invariant: an image is put on record only when its configuration, manifest, blobs and unpacked layers are all here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from firkin.errors import Internal
from firkin.images.collect import Collector
from firkin.images.store import Image, ImageRecord, ImageStore
from firkin.images.unpack import Unpacking
from firkin.oci.digest import Digest
from firkin.oci.image import ImageConfig, encode_image_config, parse_image_config
from firkin.oci.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, encode, parse_manifest
from firkin.oci.reference import Reference
from firkin.paths import Layout
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers

NO_PARENT = Digest("")


class Shelf:
    """The stores of one engine, used together."""

    def __init__(
        self, layout: Layout, content: ContentStore, layers: Layers, layers_in_use: Callable[[], Iterable[str]]
    ) -> None:
        self.content, self.layers = content, layers
        self.images = ImageStore(layout, content)
        self.collector = Collector(self.images, content, layers, layers_in_use)
        self.unpacking = Unpacking(content, layers)
        self.images.load()

    def put(
        self, config: ImageConfig, layers: Iterable[Descriptor], names: Iterable[Reference], parent: Digest = NO_PARENT
    ) -> Image:
        """An image made here, from blobs that are stored and unpacked already."""
        data = encode_image_config(config)
        descriptor = Descriptor(OCI_CONFIG, self.content.put_bytes(data), len(data))
        manifest = Manifest(2, OCI_MANIFEST, descriptor, tuple(layers))
        return self.record(self.content.put_bytes(encode(manifest)), names, parent)

    def record(self, manifest_digest: Digest, names: Iterable[Reference], parent: Digest = NO_PARENT) -> Image:
        """Put the image of a stored manifest on record under `names`. One that is there already keeps its parent; if it came
        with another manifest then (layers packed otherwise), that one goes."""
        manifest = parse_manifest(self.content.read(manifest_digest))
        if not isinstance(manifest, Manifest):
            raise Internal(f"record image: {manifest_digest} is an index")
        config = parse_image_config(self.content.read(manifest.config.digest))
        if config.id in self.images:
            known = self.images.get(config.id)
            parent = parent or known.parent
            self.collector.suspect((known.manifest_digest, *(blob.digest for blob in known.layers)))
        size = sum(self.layers.get(chain_id).size for chain_id in config.rootfs.chain)
        self.images.add(ImageRecord(config.id, manifest_digest, size, parent))
        self.name(config.id, names)
        return self.images.get(config.id)

    def name(self, image_id: Digest, names: Iterable[Reference]) -> None:
        """Give the image names, taking them from whatever had them."""
        record = self.images.get(image_id).record
        self.images.name(names, image_id)
        self.images.add(replace(record, last_tagged=time.time_ns()))
