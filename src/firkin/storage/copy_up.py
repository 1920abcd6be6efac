"""Fill an empty volume with what the image has where it is to be mounted.

Invariant: costs a few lookups and no process when there is nothing to copy. Source: Docker documentation, "Volumes",
"Populate a volume using a container".
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence

from firkin.storage import attributes
from firkin.storage.lookup import lookup, merged_names
from firkin.storage.worker import run

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def copy_up(layers: Sequence[str], destination: str, volume: str, staging: str) -> None:
    """Copy the directory `destination` of the image (`layers`, top first) into the directory `volume`, if that is empty.
    A worker does, in which the image is mounted on `staging`."""
    target = os.open(volume, _DIRECTORY)
    try:
        if os.listdir(target) or not await asyncio.to_thread(_needs_worker, layers, os.fsencode(destination), target):
            return
        view = {"staging": staging, "lowers": list(layers), "upper": "", "work": "", "binds": [], "read_only": True}
        await run("copy-up", {"view": view, "path": destination, "target": target}, (target,))
    finally:
        os.close(target)


def _needs_worker(layers: Sequence[str], destination: bytes, target: int) -> bool:
    """Whether there is something to copy. An empty directory's attributes are copied at once."""
    path = b""
    for part in filter(None, destination.split(b"/")):
        path = path + b"/" + part
        found = lookup(layers, path)
        if found is None:
            return False
        kind = os.fstat(found).st_mode
        empty = stat.S_ISDIR(kind) and path.lstrip(b"/") == destination.strip(b"/") and not merged_names(layers, path)
        if empty:
            attributes.copy(found, target)
        os.close(found)
        if empty:
            return False
        if stat.S_ISLNK(kind):
            return True  # it takes a mount to know where that leads
    return stat.S_ISDIR(kind)
