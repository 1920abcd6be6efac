"""`docker cp`, the daemon's half: what is at a path in a container, and files in and out as tar streams.

Invariant: the daemon itself never opens a path of a container's. A worker does, either in the mount namespace of the running
container, or in one of its own in which it mounts the stopped one's root and volumes.
Source: Docker Engine API, `/containers/{id}/archive`.
"""

from __future__ import annotations

import asyncio
import marshal
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from firkin.storage.confine import View
from firkin.storage.worker import PIPE, Worker, run


@dataclass(frozen=True)
class PathStat:
    """What `lstat` says: `mode` is `st_mode`, `mtime` in ns. `link_target` is where a symlink leads in the end."""

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str = ""


@dataclass(frozen=True)
class Root:
    """A container's root, to be entered by a worker: see `running` and `Snapshots.root`."""

    view: View
    fds: tuple[int, ...] = ()


def running(pidfd: int, *, own_users: bool = False) -> Root:
    """The root of a running container, mounts and all; `pidfd` is that of its first process. `own_users`: it has a user
    namespace, whose ids are meant."""
    return Root({"pidfd": pidfd, "own_users": own_users}, (pidfd,))


async def stat_path(root: Root, path: str) -> PathStat:
    """Raises `NotFound`."""
    return PathStat(**await run("stat-path", {"view": root.view, "path": path}, root.fds))


async def read_archive(root: Root, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
    """What is at `path`, and it with all below it as a tar stream whose names begin with the path's last part.
    Raises `NotFound`. The iterator must be run to its end or closed."""
    worker = Worker("read-archive", {"view": root.view, "path": path}, root.fds)
    await worker.__aenter__()
    try:
        worker.stdin.close()
        size = struct.unpack("=I", await worker.stdout.readexactly(4))[0]
        found = PathStat(**marshal.loads(await worker.stdout.readexactly(size)))
    except BaseException as error:
        try:
            if isinstance(error, asyncio.IncompleteReadError):
                await worker.result()  # says why there is nothing to read
            raise
        finally:
            await worker.__aexit__()
    return found, _rest(worker)


async def _rest(worker: Worker) -> AsyncIterator[bytes]:
    try:
        while data := await worker.stdout.read(PIPE):
            yield data
        await worker.result()
    finally:
        await worker.__aexit__()


async def write_archive(
    root: Root, path: str, chunks: AsyncIterator[bytes], *, keep_kinds: bool = False, user: str = ""
) -> None:
    """Unpack a tar stream, compressed or not, into the directory `path`. `keep_kinds` refuses to replace a directory by
    something else or the reverse; with `user` ("name" or "uid:gid") all of it belongs to that user of the container's.

    Raises `NotFound`, `Invalid` (the archive, or `path` is no directory), `Forbidden` (read-only), `Unavailable` (full).
    """
    request = {"view": root.view, "path": path, "keep_kinds": keep_kinds, "user": user}
    async with Worker("write-archive", request, root.fds) as worker:
        try:
            async for chunk in chunks:
                worker.stdin.write(chunk)
                await worker.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the worker has given up: its result says why
        worker.stdin.close()
        await worker.result()
