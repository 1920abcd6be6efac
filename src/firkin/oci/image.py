"""Image configurations: what to run, what the layers hold once unpacked, and how they came to be.

An image's id is the digest of these bytes, so a configuration is kept as it was sent and never written anew.
Source: OCI image spec, config.md; Docker's additions (Healthcheck, OnBuild, Shell) from its image spec v1.2.
"""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.errors import Invalid
from firkin.oci.digest import Digest, digest_of
from firkin.oci.manifest import Sha256, convert, decode_object
from firkin.oci.platform import Platform

LARGEST_CONFIG = 8 << 20


class Healthcheck(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """How to ask a container whether it is well; durations in nanoseconds."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Defaults for containers of the image: the document's `config` member. `exposed_ports` ("80/tcp") and `volumes` (paths)
    are sets, spelt as JSON spells sets: an object whose members are empty."""

    user: str = ""
    exposed_ports: dict[str, dict[str, Any]] = {}
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    volumes: dict[str, dict[str, Any]] = {}
    working_dir: str = ""
    on_build: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] = ()


class RootFS(msgspec.Struct, frozen=True):
    """Digests of the layers' plain tar streams, bottom first."""

    type: str = "layers"
    diff_ids: tuple[Sha256, ...] = ()

    @property
    def chain(self) -> tuple[Digest, ...]:
        """The chain id of each layer, bottom first: it names a layer together with all below it."""
        ids: list[Digest] = []
        for diff_id in self.diff_ids:
            ids.append(chain_id(ids[-1] if ids else None, diff_id))
        return tuple(ids)


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of the image's making; a step that made no layer is `empty_layer`. `created` is RFC 3339."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole document. `id` is no member of it: the digest of the bytes it was parsed from, "" before it has any."""

    rootfs: RootFS
    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    created: str = ""
    author: str = ""
    config: RunConfig = RunConfig()
    history: tuple[History, ...] = ()
    comment: str = ""
    docker_version: str = ""
    container: str = ""
    id: Digest = Digest("")

    @property
    def platform(self) -> Platform:
        return Platform(self.architecture, self.os, self.variant, self.os_version)


def chain_id(parent: Digest | None, diff_id: Digest) -> Digest:
    """The name of a layer on top of the chain `parent` (None: on top of nothing). Source: config.md, "Layer ChainID"."""
    return diff_id if parent is None else digest_of(f"{parent} {diff_id}".encode())


def parse_image_config(data: bytes) -> ImageConfig:
    """`data` as an image configuration, its digest as `id`; raises `Invalid`."""
    if len(data) > LARGEST_CONFIG:
        raise Invalid(f"parse image configuration: {len(data)} bytes is more than the limit of {LARGEST_CONFIG}")
    document = decode_object(data, "image configuration")
    config: ImageConfig = convert({**document, "id": digest_of(data)}, ImageConfig, "image configuration")
    if config.rootfs.type != "layers":
        raise Invalid(f"parse image configuration: unknown rootfs type {config.rootfs.type!r}")
    made = sum(not step.empty_layer for step in config.history)
    if made > len(config.rootfs.diff_ids):
        raise Invalid(f"parse image configuration: history tells of {made} layers, rootfs of {len(config.rootfs.diff_ids)}")
    return config


def encode_image_config(config: ImageConfig) -> bytes:
    """The bytes to store for a configuration made here (commit, import, build); parse them again to learn the id."""
    return msgspec.json.encode(msgspec.structs.replace(config, id=Digest("")))
