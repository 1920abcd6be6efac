"""A volume as Docker's `Volume`."""

from __future__ import annotations

from typing import Any

from firkin.api.times import rfc3339
from firkin.storage.volumes import Volume


def volume(item: Volume, size: int | None = None, users: int = 0) -> dict[str, Any]:
    """`size` in bytes and `users` (containers) only where usage is asked for."""
    document: dict[str, Any] = {
        "CreatedAt": rfc3339(item.created),
        "Driver": item.driver,
        "Labels": item.labels,
        "Mountpoint": item.mountpoint,
        "Name": item.name,
        "Options": item.options,
        "Scope": "local",
    }
    if size is not None:
        document["UsageData"] = {"Size": size, "RefCount": users}
    return document
