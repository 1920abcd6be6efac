"""Moving one container's output, a batch at a time: from its pipes or pty to its log and to attached clients.

A batch is logged exactly once (see journal); clients get it after that, as far as they take it. A client that does not
read holds back its stream, and so the container, as with Docker; one that is gone is dropped. A client misses or
repeats nothing unless the keeper itself is killed between logging and forwarding.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from firkin.runtime.entries import Entry
from firkin.runtime.journal import Journal
from firkin.runtime.jsonlog import encode, split
from firkin.runtime.logwriter import LogWriter
from firkin.runtime.loop import Loop
from firkin.runtime.sink import Sink


class Stream:
    """One source of output. `held` is its unfinished line, in the journal's `bank`."""

    def __init__(self, output: Output, name: str, slot: int, fd: int) -> None:
        self.slot = slot
        self._loop = output.loop
        self._sinks: list[Sink] = []
        self._output = output
        self._journal = output.journal
        self._name = name
        self._fd = fd
        self._bank, self._held = self._journal.held(slot)
        self._noted = bool(self._held)  # whether the journal holds a line for us
        self._paused = False
        self._loop.add(fd, self._ready)

    def recover(self, bank: int, held: int, log_size: int, when: int, last: bool) -> None:
        """Repeat the batch another process had begun (the arguments are the journal's)."""
        self._bank, self._held, self._noted = bank, self._journal.line(self.slot, bank, held), True
        self._output.log.cut_back(log_size)
        self._finish_batch(when, last)

    def attach(self, fd: int) -> None:
        self._sinks.append(Sink(self._loop, fd, self._resume, self._drop))

    def end(self) -> None:
        """Log the unfinished line, if any, and leave the loop."""
        if self._held:
            when = self._begin(last=True)
            os.write(self._journal.target, self._held)
            self._held = b""
            self._finish_batch(when, last=True)
        self.leave()

    def leave(self) -> None:
        """Out of the loop, clients included; whoever owns the descriptors may close them now."""
        self._loop.remove(self._fd)
        for sink in self._sinks:
            sink.leave()

    def _ready(self, events: int) -> None:
        self._output.log.make_room()
        when = self._begin(last=False)
        try:
            taken = self._journal.take(self._fd, self._output.log.batch)
        except BlockingIOError:
            return
        except OSError:  # EIO: a pty whose other side is closed
            taken = 0
        if taken:
            self._finish_batch(when, last=False)
        else:
            self._output.end_of(self._name)

    def _begin(self, last: bool) -> int:
        """Note where everything stands. At the `last`, the line held is about to go through the pipe once more."""
        when = time.time_ns()
        self._journal.begin(self.slot, self._bank, 0 if last else len(self._held), self._output.log.size, when, last)
        return when

    def _finish_batch(self, when: int, last: bool) -> None:
        data = self._journal.peek()
        if self._output.log.is_open:
            pieces, held = split(self._held + data, last)
            self._output.log.append(encode(pieces, self._name, when, self._output.log.attributes))
            self._hold(held)
        self._journal.drain()
        if not last:
            self._forward(data)

    def _hold(self, line: bytes) -> None:
        if line or self._noted:
            self._bank ^= 1
            self._journal.hold(self.slot, self._bank, line)
        self._held, self._noted = line, bool(line)

    def _forward(self, data: bytes) -> None:
        for sink in self._sinks:
            sink.write(data)
        if any(sink.pending for sink in self._sinks):
            self._paused = True
            self._loop.remove(self._fd)

    def _resume(self) -> None:
        """Read on if every client has taken what there was."""
        if self._paused and not any(sink.pending for sink in self._sinks):
            self._paused = False
            self._loop.add(self._fd, self._ready)

    def _drop(self, sink: Sink) -> None:
        """Forget a client that is gone; whoever else is attached goes on."""
        self._sinks.remove(sink)
        sink.leave()
        self._output.sink_gone(self._name, sink.fd)
        self._resume()


class Output:
    """All output of one container. `on_end(self)` is called once everything is read, logged and forwarded;
    `on_sink_gone(self, inode)` when a client is."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        entry: Entry,
        on_end: Callable[[Output], None],
        on_sink_gone: Callable[[Output, int], None],
    ) -> None:
        self.loop = loop
        self.journal = journal
        self.entry = entry
        self._on_end = on_end
        self._on_sink_gone = on_sink_gone
        self.log = LogWriter(entry.log)
        self.streams = {name: Stream(self, name, slot, fd) for name, (slot, fd) in entry.streams.items()}
        for name, fd in entry.sinks:
            if name in self.streams:
                self.streams[name].attach(fd)

    def attach(self, name: str, fd: int) -> bool:
        """Send a stream to one more client; False (and the client sees the end) if the stream has ended."""
        if name not in self.streams:
            os.close(fd)
            return False
        self.entry.sinks.append((name, fd))
        self.streams[name].attach(fd)
        return True

    def sink_gone(self, name: str, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        self.entry.sinks.remove((name, fd))
        os.close(fd)
        self._on_sink_gone(self, inode)

    def end_of(self, name: str) -> None:
        """A stream is at its end, or is to be taken as if."""
        self.streams.pop(name).end()
        os.close(self.entry.streams.pop(name)[1])
        if not self.streams:
            self.log.close()
            self.entry.close()
            self._on_end(self)

    def cut_off(self) -> None:
        """Take no more output, whoever may still hold the other ends."""
        for name in list(self.streams):
            self.end_of(name)

    def discard(self) -> None:
        """The container did not start: there is nothing to wait for and nobody to tell."""
        for stream in self.streams.values():
            stream.leave()
        self.log.close()
        self.entry.close()
