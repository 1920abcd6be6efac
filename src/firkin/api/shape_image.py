"""An image as Docker's `ImageInspect`, `ImageSummary` and `ImageHistoryResponseItem`."""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.api.shape_container import DRIVER
from firkin.api.times import ZERO, rfc3339
from firkin.api.versions import Dialect
from firkin.images.listing import HistoryEntry, created_ns
from firkin.images.removal import Removed
from firkin.images.store import Image
from firkin.oci.image import RunConfig
from firkin.oci.reference import Reference

_ALWAYS: dict[str, Any] = {  # until 1.51 even when empty
    "Cmd": None,
    "Entrypoint": None,
    "Env": None,
    "Labels": None,
    "OnBuild": None,
    "User": "",
    "Volumes": None,
    "WorkingDir": "",
}
_OF_CONTAINERS: dict[str, Any] = {  # until 1.49, always empty
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}


def inspect(image: Image, dialect: Dialect) -> dict[str, Any]:
    config = image.config
    document: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": image.repo_digests,
        "Created": config.created or ZERO,
        "Config": run_config(config.config, dialect),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Name": DRIVER, "Data": {}},
        "RootFS": {"Type": "layers", "Layers": list(config.rootfs.diff_ids)},
        "Metadata": {"LastTagTime": rfc3339(image.record.last_tagged)},
    }
    texts = {"Parent": image.parent, "Comment": config.comment, "DockerVersion": config.docker_version, "Author": config.author}
    document |= {key: text for key, text in texts.items() if text or not dialect.omits_empty_image_fields}
    document |= {key: text for key, text in (("Variant", config.variant), ("OsVersion", config.os_version)) if text}
    if dialect.has_image_virtual_size:
        document["VirtualSize"] = image.size
    if dialect.has_image_container_config:
        document |= {"Container": config.container, "ContainerConfig": run_config(RunConfig(), dialect)}
    return document


def run_config(config: RunConfig, dialect: Dialect) -> dict[str, Any]:
    """`ImageConfig`; the older the version, the more empty fields it has."""
    document: dict[str, Any] = msgspec.to_builtins(config)
    if not dialect.omits_empty_image_fields:
        document = _ALWAYS | document
    return _OF_CONTAINERS | document if dialect.has_container_fields_in_image_config else document


def summary(image: Image, shown: tuple[Reference, ...], containers: int, shared: int, dialect: Dialect) -> dict[str, Any]:
    """`shown` are the names that pass the list's filters; `shared` bytes (-1: not asked for)."""
    tags = [reference.familiar for reference in shown if not reference.digest]
    digests = [reference.familiar for reference in shown if reference.digest]
    if dialect.names_dangling_images and not shown:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    document = {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": created_ns(image) // 1_000_000_000,
        "Size": image.size,
        "SharedSize": shared,
        "Labels": image.config.config.labels,
        "Containers": containers if dialect.counts_containers_of_images else -1,
    }
    if dialect.has_image_virtual_size:
        document["VirtualSize"] = image.size
    return document


def history(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "Id": entry.id,
        "Created": entry.created,
        "CreatedBy": entry.created_by,
        "Tags": list(entry.tags) or None,
        "Size": entry.size,
        "Comment": entry.comment,
    }


def removed(item: Removed) -> dict[str, str]:
    return {item.kind.capitalize(): item.name}
