"""What keeper and launcher both hold of one container's output: where it comes from and where it goes.

Invariant: the launcher's entry has at least the descriptors of the keeper's, so either can go on alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from firkin.runtime.wire import Message, close_all

Log = dict[str, int | str]
Fields = tuple[int, str, Log, list[tuple[str, int]], list[str]]  # key, id, log, (stream, slot) of each, stream of each sink


class Entry:
    """`key` tells this run of the container from another. `log`: the plan's log part. `streams`: name ("stdout",
    "stderr") -> (slot in the journal, pipe or pty master). `sinks`: (stream name, write end) of each attached client."""

    def __init__(self, key: int, name: str, log: Log) -> None:
        self.key = key
        self.id = name
        self.log = log
        self.streams: dict[str, tuple[int, int]] = {}
        self.sinks: list[tuple[str, int]] = []

    def message(self) -> tuple[Message, list[int]]:
        """As a message to the other process, ("watch", fields), and its descriptors: streams', then sinks'."""
        streams = [(name, slot) for name, (slot, _) in self.streams.items()]
        fields: Fields = (self.key, self.id, self.log, streams, [stream for stream, _ in self.sinks])
        return ("watch", fields), [fd for _, fd in self.streams.values()] + [fd for _, fd in self.sinks]

    @classmethod
    def received(cls, fds: list[int], fields: Fields) -> Entry:
        """The entry of a `watch` message; it owns the descriptors."""
        key, name, log, streams, sinks = fields
        entry = cls(key, name, log)
        entry.streams = {stream: (slot, fd) for (stream, slot), fd in zip(streams, fds, strict=False)}
        entry.sinks = list(zip(sinks, fds[len(streams) :], strict=True))
        return entry

    def drop_sink(self, inode: int) -> None:
        """Close the sinks on the pipe with this inode number: its reader is gone."""
        for sink in [sink for sink in self.sinks if os.fstat(sink[1]).st_ino == inode]:
            self.sinks.remove(sink)
            os.close(sink[1])

    def close(self) -> None:
        close_all([fd for _, fd in self.streams.values()] + [fd for _, fd in self.sinks])
        self.streams.clear()
        self.sinks.clear()


class Entries:
    """The launcher's: by key, with a slot for each open stream, lowest first, so that the journal stays small."""

    def __init__(self) -> None:
        self._known: dict[int, Entry] = {}
        self._used: set[int] = set()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._known.values())

    def add(self, entry: Entry) -> None:
        self._known[entry.key] = entry
        self._used.update(slot for slot, _ in entry.streams.values())

    def add_stream(self, entry: Entry, stream: str, fd: int) -> int:
        """Give the stream a slot, which is returned."""
        slot = next(number for number in range(len(self._used) + 1) if number not in self._used)
        self._used.add(slot)
        entry.streams[stream] = (slot, fd)
        return slot

    def add_sink(self, key: int, stream: str, fd: int) -> None:
        if key in self._known:
            self._known[key].sinks.append((stream, fd))
        else:
            os.close(fd)

    def drop_sink(self, key: int, inode: int) -> None:
        if key in self._known:
            self._known[key].drop_sink(inode)

    def close(self, key: int) -> None:
        """The keeper is done with it, or never began."""
        if entry := self._known.pop(key, None):
            self._used.difference_update(slot for slot, _ in entry.streams.values())
            entry.close()
