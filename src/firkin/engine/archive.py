"""Archive: `docker cp` both ways, running or stopped.

The container's files are hostile: workers open them, in its mount namespace or in one made for the purpose.
Source: Docker Engine API, `/containers/{id}/archive`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from firkin.engine.engine import Engine
from firkin.engine.mounts import open_subpaths, with_subpaths
from firkin.engine.table import Entry
from firkin.errors import FirkinError, NotFound
from firkin.storage import archive as files
from firkin.storage.archive import PathStat, Root


async def stat(engine: Engine, ref: str, path: str) -> PathStat:
    """What is at `path`; raises `NotFound`."""
    entry = engine.containers.find(ref)
    async with _root(engine, entry) as root:
        try:
            return await files.stat_path(root, path)
        except NotFound:
            raise _missing(ref, path) from None


async def get(engine: Engine, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
    """What is at `path`, and it as a tar stream."""
    entry = engine.containers.find(ref)
    async with _root(engine, entry) as root:
        try:
            found = await files.read_archive(root, path)
        except NotFound:
            raise _missing(ref, path) from None
    engine.events.container("archive-path", entry.record)
    return found


async def put(
    engine: Engine, ref: str, path: str, chunks: AsyncIterator[bytes], *, keep_kinds: bool = False, copy_owner: bool = False
) -> None:
    """Unpack a tar stream into the directory `path`; `copy_owner`: all of it belongs to the container's user."""
    entry = engine.containers.find(ref)
    user = entry.record.config.user if copy_owner else ""
    async with _root(engine, entry) as root:
        try:
            await files.write_archive(root, path, chunks, keep_kinds=keep_kinds, user=user)
        except NotFound:
            raise _missing(ref, path) from None
    engine.events.container("extract-to-dir", entry.record)


@asynccontextmanager
async def _root(engine: Engine, entry: Entry) -> AsyncIterator[Root]:
    """Parts of volumes are open, and volumes with driver options mounted, for as long as it takes a worker to start: it has all
    of it in a mount namespace of its own then. Raises `NotFound` for a part that has gone."""
    if entry.live:
        yield files.running(entry.live.pidfd, own_users=entry.record.id_maps is not None)
        return
    mounts = [mount for mount in with_subpaths(entry.record.mounts) if mount.type != "tmpfs"]
    async with engine.volumes.mounted(entry.record.mounts):
        with ExitStack() as closing:
            parts = {f"fd:{name}": fd for name, fd in open_subpaths(engine, entry.record.mounts, closing).items()}
            binds = [(parts.get(mount.source, mount.source), mount.destination, not mount.read_write) for mount in mounts]
            yield engine.snapshots.root(entry.id, binds, entry.record.host.readonly_rootfs)


def _missing(ref: str, path: str) -> FirkinError:
    return NotFound(f"Could not find the file {path} in container {ref}")
