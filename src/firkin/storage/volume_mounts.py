"""Which volumes with driver options are mounted, and for how many running containers and copies.

Invariant: mounted by the first user, unmounted by the last, in the daemon's own mount namespace so that all users share
one instance (two containers on one tmpfs volume see each other's files).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Mapping

from firkin.errors import Internal, reason
from firkin.linux import mount
from firkin.storage.volume_options import mount_volume


class VolumeMounts:
    """Counts users by volume name."""

    def __init__(self) -> None:
        self._users: Counter[str] = Counter()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def in_use(self, name: str) -> bool:
        return self._users[name] > 0

    def adopt(self, name: str) -> None:
        """One more user of what is mounted already."""
        self._users[name] += 1

    async def acquire(self, name: str, target: str, options: Mapping[str, str]) -> None:
        """Raises `Internal` (or `Unavailable`) when the mount fails; then there is no new user."""
        async with self._locks[name]:
            if not self._users[name] and not _is_mounted(target):  # a daemon that was killed may have left it
                try:
                    await asyncio.to_thread(mount_volume, options, target)
                except OSError as error:
                    raise Internal(f"mount volume {name} of type {options['type']}: {reason(error)}")
            self._users[name] += 1

    async def release(self, name: str, target: str) -> None:
        async with self._locks[name]:
            self._users[name] -= 1
            if self._users[name] <= 0:
                del self._users[name]
                await _unmount(target)

    async def sweep(self, name: str, target: str) -> None:
        """Unmount what nobody uses."""
        async with self._locks[name]:
            if not self._users[name]:
                await _unmount(target)


async def _unmount(target: str) -> None:
    if _is_mounted(target):
        await asyncio.to_thread(mount.umount, target, mount.MNT_DETACH)


def _is_mounted(path: str) -> bool:
    """Whether a mount begins at `path`, be it a bind mount of the same file system (which os.path.ismount misses)."""
    return _mount_id(path) != _mount_id(os.path.dirname(path))


def _mount_id(path: str) -> str:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as about:
            return next(line for line in about if line.startswith("mnt_id:"))
    finally:
        os.close(fd)
