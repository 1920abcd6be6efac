"""What everything takes on disk: `GET /system/df`, in its old form (each object) and its new one (sums)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from firkin.api import shape_image, shape_summary
from firkin.api.shape_volume import volume
from firkin.api.versions import Dialect
from firkin.engine.engine import Engine
from firkin.engine.system import DiskUsage
from firkin.model import Container

TYPES = frozenset(("container", "image", "volume", "build-cache"))
_KEYS = {"image": "Image", "container": "Container", "volume": "Volume", "build-cache": "BuildCache"}
_LEGACY_KEYS = {"image": "Images", "container": "Containers", "volume": "Volumes", "build-cache": "BuildCache"}

Objects = list[tuple[int, bool, dict[str, Any]]]  # bytes of its own, in use, as its own listing shows it


def disk_usage(engine: Engine, usage: DiskUsage, dialect: Dialect, types: Iterable[str], *, verbose: bool) -> dict[str, Any]:
    objects = {kind: _OBJECTS[kind](engine, usage, dialect) for kind in _KEYS if kind in types}
    document: dict[str, Any] = {}
    if dialect.has_legacy_disk_usage and not (verbose and dialect.has_disk_usage_summaries):
        document = {_LEGACY_KEYS[kind]: [shown for _, _, shown in found] for kind, found in objects.items()}
        document |= {"LayersSize": usage.layers if "image" in objects else 0, "BuilderSize": 0}
    if dialect.has_disk_usage_summaries:
        totals = {"image": usage.layers}
        document |= {f"{_KEYS[kind]}Usage": _sum(found, totals.get(kind), verbose) for kind, found in objects.items()}
    return document


def _sum(objects: Objects, total: int | None, verbose: bool) -> dict[str, Any]:
    """`total`, unless it is the sum: what objects share is nobody's own."""
    total = sum(size for size, _, _ in objects) if total is None else total
    document: dict[str, Any] = {
        "ActiveCount": sum(active for _, active, _ in objects),
        "TotalCount": len(objects),
        "Reclaimable": total - sum(size for size, active, _ in objects if active),
        "TotalSize": total,
    }
    return {**document, "Items": [shown for _, _, shown in objects]} if verbose and objects else document


def _records(engine: Engine) -> list[Container]:
    return [entry.record for entry in engine.containers]


def _containers(engine: Engine, usage: DiskUsage, dialect: Dialect) -> Objects:
    found: Objects = []
    for record in _records(engine):
        size = usage.containers.get(record.id, 0)
        shown = shape_summary.summary(record, record.config.image, time.time_ns(), (size, size))
        found.append((size, bool(record.state.pid), shown))
    return found


def _images(engine: Engine, usage: DiskUsage, dialect: Dialect) -> Objects:
    users = Counter(record.image_id for record in _records(engine))
    shared = engine.images.shared_sizes()
    return [
        (
            image.size - shared.get(image.id, 0),
            users[image.id] > 0,
            shape_image.summary(image, image.references, users[image.id], shared.get(image.id, 0), dialect)
            | {"Containers": users[image.id]},
        )
        for image in engine.images.list({})
    ]


def _volumes(engine: Engine, usage: DiskUsage, dialect: Dialect) -> Objects:
    users = Counter(mount.name for record in _records(engine) for mount in record.mounts if mount.name)
    return [
        (usage.volumes.get(item.name, 0), users[item.name] > 0, volume(item, usage.volumes.get(item.name, 0), users[item.name]))
        for item in engine.volumes.list({})
    ]


def _build_cache(engine: Engine, usage: DiskUsage, dialect: Dialect) -> Objects:
    return []


_OBJECTS = {"image": _images, "container": _containers, "volume": _volumes, "build-cache": _build_cache}
