"""Volumes: directories that outlive containers, `volumes/NAME/_data`, with a record beside each.

Invariant: a volume is what its record says; one with driver options is mounted from its first user's start to its last
user's end, and never otherwise (a copy from or to a container that is down is such a user, too). Copying the image's files
into an empty volume happens before the first process sees it.
Source: Docker Engine API, Volume; moby `volume/service/store.go`, `volume/local/`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from firkin.errors import Conflict, FirkinError, Invalid, NotFound, reason
from firkin.ids import is_name, new_id
from firkin.linux import fs
from firkin.model import MountPoint
from firkin.paths import Layout
from firkin.storage import volume_options
from firkin.storage.copy_up import copy_up
from firkin.storage.files import make_top_directory
from firkin.storage.records import read_record, write_record
from firkin.storage.trash import Trash
from firkin.storage.usage import usage
from firkin.storage.volume import Filters, Volume, VolumeRequest, check_filters, passes
from firkin.storage.volume_mounts import VolumeMounts

__all__ = ["Volume", "VolumeRequest", "Volumes"]

ANONYMOUS = "com.docker.volume.anonymous"
_RECORD = "volume.json"


class Volumes:
    """All volumes of one engine. `users` tells the ids of the containers that refer to a volume, running or not."""

    def __init__(self, layout: Layout, users: Callable[[str], Iterable[str]] = lambda name: ()) -> None:
        self._root, self.users = layout.volumes, users
        make_top_directory(self._root)
        os.chmod(self._root, 0o711)  # an unprivileged user of the host may own what is in a volume
        self._staging = layout.staging
        self._mounts = VolumeMounts()
        self._trash = Trash(self._root)
        self._volumes = {volume.name: volume for volume in self._load()}

    def create(
        self,
        name: str = "",
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """The volume of that name, made if there is none; "" makes an anonymous one.
        Raises `Invalid` for a bad name or option, `NotFound` for another driver than local."""
        if driver not in ("", "local"):
            raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
        labels = dict(labels or {}) if name else {**(labels or {}), ANONYMOUS: ""}
        name = name or new_id()
        if name in self._volumes:
            return self._volumes[name]
        if len(name) == 1:
            raise Invalid("volume name is too short, names should be at least two alphanumeric characters")
        if not is_name(name):
            raise Invalid(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        volume_options.check(options or {})
        directory = os.path.join(self._root, name)
        volume = Volume(name, os.path.join(directory, "_data"), "local", dict(options or {}), labels, time.time_ns())
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o701)
        write_record(os.path.join(directory, _RECORD), volume)
        os.makedirs(volume.mountpoint, exist_ok=True)  # last: without it, `_load` takes the directory for half-made
        os.chmod(volume.mountpoint, 0o755)
        self._volumes[name] = volume
        return volume

    def inspect(self, name: str) -> Volume:
        """Raises `NotFound`."""
        try:
            return self._volumes[name]
        except KeyError:
            raise NotFound(f"get {name}: no such volume")

    def is_anonymous(self, name: str) -> bool:
        volume = self._volumes.get(name)
        return volume is not None and ANONYMOUS in volume.labels

    def size(self, name: str) -> int:
        """Bytes of its files; takes as long as reading the directories takes."""
        return usage(self.inspect(name).mountpoint)

    async def remove(self, name: str, force: bool = False) -> None:
        """Raises `NotFound` (not with `force`), or `Conflict` while a container refers to it, or a copy is under way."""
        volume = self._volumes.get(name)
        if volume is None and force:
            return
        volume = self.inspect(name)
        users = sorted(self.users(name))
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        if self._mounts.in_use(name):  # what is mounted on it is not ours to delete
            raise Conflict(f"remove {name}: volume is in use")
        del self._volumes[name]
        self._trash.discard(os.path.join(self._root, name))

    async def prune(self, filters: Filters, everything: bool = False) -> tuple[list[str], int]:
        """Remove what no container refers to, only anonymous volumes unless `everything`; (names, bytes)."""
        freed, names = 0, []
        for volume in self.list({**filters, "dangling": ["true"]}):
            if everything or ANONYMOUS in volume.labels:
                freed += await asyncio.to_thread(self.size, volume.name)
                await self.remove(volume.name)
                names.append(volume.name)
        return names, freed

    async def make_ready(self, mounts: Sequence[MountPoint], layers: Sequence[str], *, first: bool = True) -> None:
        """Before a container starts: mount its volumes that are more than a directory, and on its `first` start fill the
        empty ones with what the image, directories top first, has there. Undone by `let_go`."""
        async with AsyncExitStack() as undo:
            for mount in mounts:
                volume = self._volumes.get(mount.name)
                if mount.type != "volume" or volume is None:
                    continue
                if volume.options:
                    await self._acquire(volume, undo)
                if first and not (mount.request and mount.request.no_copy):
                    await copy_up(layers, mount.destination, volume.mountpoint, self._staging)
            undo.pop_all()

    @asynccontextmanager
    async def mounted(self, mounts: Sequence[MountPoint]) -> AsyncIterator[None]:
        """While this lasts, the volumes of a container that is down are what they are when it runs."""
        async with AsyncExitStack() as undo:
            for volume in self._with_options(mounts):
                await self._acquire(volume, undo)
            yield

    async def _acquire(self, volume: Volume, undo: AsyncExitStack) -> None:
        await self._mounts.acquire(volume.name, volume.mountpoint, volume.options)
        undo.push_async_callback(self._mounts.release, volume.name, volume.mountpoint)

    def adopt(self, mounts: Sequence[MountPoint]) -> None:
        """A container that already runs uses these: what `make_ready` noted before the daemon was restarted."""
        for volume in self._with_options(mounts):
            self._mounts.adopt(volume.name)

    async def sweep(self) -> None:
        """Once all that run are adopted: no other volume stays mounted, whoever was killed while he used it."""
        for volume in self._volumes.values():
            if volume.options:
                await self._mounts.sweep(volume.name, volume.mountpoint)

    async def let_go(self, mounts: Sequence[MountPoint]) -> None:
        """After a container ended: unmount what nobody uses any more."""
        for volume in self._with_options(mounts):
            await self._mounts.release(volume.name, volume.mountpoint)

    def open_subpath(self, name: str, subpath: str) -> int:
        """A descriptor (O_PATH) of what is at `subpath` in the volume, whose symlinks cannot lead out of it; the caller
        closes it. Raises `NotFound`."""
        root = os.open(self.inspect(name).mountpoint, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return fs.in_root(root, subpath)
        except OSError as error:
            raise NotFound(f"open {subpath!r} in volume {name}: {reason(error)}")
        finally:
            os.close(root)

    def _with_options(self, mounts: Sequence[MountPoint]) -> Iterator[Volume]:
        for mount in mounts:
            volume = self._volumes.get(mount.name)
            if mount.type == "volume" and volume and volume.options:
                yield volume

    def _load(self) -> Iterator[Volume]:
        """Every volume on disk; one whose record was lost keeps its files, and its name. A half-made one goes."""
        for name in os.listdir(self._root):
            directory = os.path.join(self._root, name)
            data = os.path.join(directory, "_data")
            if not is_name(name) or self._trash.owns(name):
                continue
            if not os.path.isdir(data):
                self._trash.discard(directory)
            else:
                try:
                    yield read_record(os.path.join(directory, _RECORD), Volume)
                except FirkinError:
                    yield Volume(name, data)

    def list(self, filters: Filters) -> list[Volume]:
        """Those that pass every filter (`name`, `driver`, `label`, `label!`, `dangling`), by name. Raises `Invalid`."""
        check_filters(filters)
        chosen = [volume for volume in self._volumes.values() if passes(volume, filters, self.users)]
        return sorted(chosen, key=lambda volume: volume.name)
