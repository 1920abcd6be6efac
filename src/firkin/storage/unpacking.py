"""Have a blob unpacked by a worker process, if need be while it is still being downloaded.

Invariant: what comes back was unpacked from exactly the blob that was asked for. Its first bytes may reach the disk before its
last ones have left the registry, but no answer is given before the whole has been verified.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from firkin.errors import Invalid
from firkin.oci.digest import Digest
from firkin.storage.content import ContentStore
from firkin.storage.ingest import Follower, TakenBack
from firkin.storage.removal import remove_tree
from firkin.storage.worker import Worker


@dataclass(frozen=True)
class Unpacked:
    """A layer in a temporary directory, not yet settled: which directories it implied, which links lead below."""

    directory: str
    diff_id: Digest
    size: int
    implied: tuple[bytes, ...]
    links: tuple[tuple[bytes, bytes], ...]


async def unpack(
    content: ContentStore, blob: Digest, diff_id: Digest | None, directory: str, limit: Callable[[int], int]
) -> Unpacked:
    """Unpack `blob` into `directory`/diff, which is made, its content being at most `limit(its own size)` bytes.
    Errors: see `Layers.unpack`; what is in `directory` then is for the caller to remove."""
    while True:
        try:
            return await _once(content, blob, diff_id, directory, limit)
        except TakenBack:
            if not content.arriving(blob) and not content.has(blob):
                raise
            remove_tree(directory)


async def _once(
    content: ContentStore, blob: Digest, diff_id: Digest | None, directory: str, limit: Callable[[int], int]
) -> Unpacked:
    ingest = content.arriving(blob)
    follower = ingest.follow() if ingest else None
    fd = follower.fd if follower else content.open(blob)
    try:
        files = os.path.join(directory, "diff")
        os.makedirs(files)
        os.chmod(files, 0o755)  # whatever the umask
        size = (ingest.size or 0) if ingest else os.fstat(fd).st_size
        answer = await _run(fd, {"blob": fd, "directory": files, "limit": limit(size)}, follower)
    finally:
        os.close(fd)
    if diff_id and answer["diff_id"] != diff_id:
        raise Invalid(f"unpack layer {blob}: its content is {answer['diff_id']}, not {diff_id} as the image says")
    return Unpacked(directory, Digest(answer["diff_id"]), answer["size"], tuple(answer["implied"]), tuple(answer["links"]))


async def _run(fd: int, request: dict[str, object], follower: Follower | None) -> dict[str, Any]:
    """The worker's answer, and the follower's word that what it read was the blob."""
    async with Worker("unpack-layer", request, (fd,)) as worker:
        tasks = [asyncio.create_task(worker.result()), asyncio.create_task(_notify(worker.stdin, follower))]
        try:
            return cast(dict[str, Any], (await asyncio.gather(*tasks))[0])
        except Invalid:
            await tasks[1]  # before the archive is blamed: was this the blob at all?
            raise
        finally:
            for task in tasks:
                task.cancel()


async def _notify(worker: asyncio.StreamWriter, follower: Follower | None) -> None:
    """One byte each time the blob has grown, the end when it is complete: see `decompress.GrowingFile`."""
    while follower and await follower.grown():
        if not worker.is_closing():
            worker.write(b"+")
    worker.close()
