"""The table of containers: every record in memory and on disk, found by id, id prefix or name.

Invariant: a record is on disk (atomically) before anyone is told of it, and `Entry.record` is always what is on disk.
What cannot be stored (descriptors, waiting clients) lives in `Entry.live` and `Entry.waiters` and is rebuilt by adoption.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from firkin.errors import Conflict, FirkinError, Invalid, NotFound
from firkin.model import Container, State, WaitResult
from firkin.paths import Layout
from firkin.storage.files import make_top_directory
from firkin.storage.records import read_record, write_record


@dataclass
class Live:
    """What a running container holds in this process."""

    pid: int
    pidfd: int
    cgroup: str
    undo: AsyncExitStack  # gives back network, cgroup and descriptors, in the reverse order of their taking
    started: float  # monotonic seconds
    console: int | None = None  # pty master
    killed: bool = False  # SIGKILL has been sent to it


@dataclass
class StdinPipe:
    """The pipe to a container's standard input; it exists from the first attach, so that early input is kept."""

    read: int | None
    write: int | None

    @classmethod
    def make(cls) -> StdinPipe:
        read, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(write, False)
        return cls(read, write)

    def close_read(self) -> None:
        """Our copy, once the container has its own (or will never have one)."""
        if self.read is not None:
            os.close(self.read)
        self.read = None

    def close_write(self) -> None:
        """End of input."""
        if self.write is not None:
            os.close(self.write)
        self.write = None

    def close(self) -> None:
        self.close_read()
        self.close_write()


@dataclass
class Sinks:
    """Write ends of an attached client's pipes, until they are handed to the keeper."""

    stdout: int | None
    stderr: int | None

    def close(self) -> None:
        for fd in (self.stdout, self.stderr):
            if fd is not None:
                os.close(fd)
        self.stdout = self.stderr = None


@dataclass
class Entry:
    """One container: its record and its present."""

    record: Container
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held for each change of state, never while waiting for an exit
    live: Live | None = None
    running: asyncio.Event = field(default_factory=asyncio.Event)  # set as long as `live` is
    stdin: StdinPipe | None = None
    waiters: list[tuple[str, asyncio.Future[WaitResult]]] = field(default_factory=list)
    attached_early: list[Sinks] = field(default_factory=list)  # clients that attached before start
    removing: bool = False  # a removal is under way
    stop_requested: bool = False  # a person's stop or kill, which no restart policy overrides
    restart_requested: bool = False  # a person's restart, which spares what removes itself
    restarting: asyncio.Task[None] | None = None
    failures: int = 0  # exits in a row after less than ten seconds, for the restart delay
    health: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.record.id


class Containers:
    """All entries of one engine."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def load(self) -> list[str]:
        """Read every record on disk; returns the ids of directories that hold none (half-made or half-removed)."""
        make_top_directory(self._layout.containers)
        broken = []
        for container_id in os.listdir(self._layout.containers):
            try:
                record = read_record(self._record_path(container_id), Container)
            except FirkinError:
                broken.append(container_id)
                continue
            self._entries[record.id] = Entry(record)
            self._names[record.name] = record.id
        return broken

    def find(self, ref: str) -> Entry:
        """The entry for a full id, a name (with or without the leading slash) or an unambiguous id prefix."""
        entry = self._entries.get(ref) or self._entries.get(self._names.get(ref.removeprefix("/"), ""))
        if entry:
            return entry
        matches = [e for container_id, e in self._entries.items() if ref and container_id.startswith(ref)]
        if len(matches) > 1:
            raise Invalid(f"multiple IDs found with provided prefix: {ref}")
        if not matches:
            raise NotFound(f"No such container: {ref}")
        return matches[0]

    def joined(self, mode: str) -> Container:
        """The container that a mode `container:X` names; raises as `find` does."""
        return self.find(mode.removeprefix("container:")).record

    def get(self, container_id: str) -> Entry | None:
        return self._entries.get(container_id)

    def reserve_name(self, name: str, container_id: str) -> None:
        """Take `name` for a container about to exist; raises `Conflict` with dockerd's advice."""
        holder = self._names.get(name)
        if holder:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._names[name] = container_id

    def release_name(self, name: str) -> None:
        self._names.pop(name, None)

    def name_taken(self, name: str) -> bool:
        return name in self._names

    def add(self, record: Container) -> Entry:
        """A new entry whose name is reserved already; on disk when this returns."""
        os.makedirs(self._layout.container(record.id), mode=0o710, exist_ok=True)
        write_record(self._record_path(record.id), record)
        entry = self._entries[record.id] = Entry(record)
        return entry

    def save(self, entry: Entry, record: Container) -> None:
        """Replace the record, on disk first."""
        write_record(self._record_path(record.id), record)
        entry.record = record

    def save_state(self, entry: Entry, **changes: object) -> None:
        """Replace fields of the state alone."""
        state: State = replace(entry.record.state, **changes)  # type: ignore[arg-type]
        self.save(entry, replace(entry.record, state=state))

    def mark_stopped(self, entry: Entry) -> None:
        """Remember across restarts of the daemon that a person stopped it (`unless-stopped`)."""
        if entry.id in self._entries and not entry.record.manually_stopped:
            self.save(entry, replace(entry.record, manually_stopped=True))

    def users_of_image(self, image_id: str) -> list[Container]:
        return [entry.record for entry in self if entry.record.image_id == image_id]

    def users_of_volume(self, name: str) -> list[str]:
        """Ids of the containers that refer to the volume, running or not."""
        return [entry.id for entry in self if any(mount.name == name for mount in entry.record.mounts)]

    def forget(self, entry: Entry) -> None:
        """It is being removed. The record goes first: what a crash leaves behind is a directory without one, which the
        next `load` reports."""
        os.unlink(self._record_path(entry.id))
        entry.record = replace(entry.record, state=replace(entry.record.state, status="removing"))
        self._entries.pop(entry.id, None)
        self._names.pop(entry.record.name, None)

    def delete_files(self, entry: Entry) -> None:
        """The rest of a container that is forgotten. Its directory holds nothing but the engine's own files."""
        directory = self._layout.container(entry.id)
        while True:
            for name in os.listdir(directory):
                with contextlib.suppress(FileNotFoundError):  # a log file that has just been packed
                    os.unlink(os.path.join(directory, name))
            try:
                return os.rmdir(directory)
            except OSError as error:  # one has appeared just now, be it the keeper's, for a start that has failed since
                if error.errno != errno.ENOTEMPTY:
                    raise

    def _record_path(self, container_id: str) -> str:
        return os.path.join(self._layout.container(container_id), "container.json")
