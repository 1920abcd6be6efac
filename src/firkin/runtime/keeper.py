"""The keeper: holds the read end of every container's output, logs it, and forwards it to attached clients.

Started by `background.command("keeper", EXEC_ROOT)`, which returns 0 once keeper and launcher answer on their sockets;
they do so in the background for as long as the machine is up, whatever becomes of the daemon.
The keeper starts the launcher and gives it duplicates of all it holds. If the launcher dies, its containers become the
keeper's children (it is their subreaper) and a new launcher is started. If the keeper dies, the launcher becomes the
keeper in place: it is the containers' parent and has every descriptor.

Requests: ("attach", rid, id, mask) + sinks, ("list", rid), ("console", rid, id), ("cut-off", rid, id),
("shutdown", rid), answered by ("reply", rid, value) + [console].
Announcements: ("drained", id, key), ("exited", id, pid, wait status, time ns).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from firkin.linux.process import set_child_subreaper
from firkin.runtime.background import detach, only_pair
from firkin.runtime.backup import Backup
from firkin.runtime.entries import Entry, Fields
from firkin.runtime.exits import Children
from firkin.runtime.journal import Journal
from firkin.runtime.loop import Loop
from firkin.runtime.pump import Output
from firkin.runtime.wire import Connection, Server, close_all

_STREAMS = ((1, "stdout"), (2, "stderr"))


class Keeper:
    """A launcher that becomes the keeper brings along the journal, entries and the children it `known`.

    `lock` is the pair's (see `background.only_pair`). `ready` is written to once a launcher is up, then closed; -1 if
    nobody waits for that."""

    def __init__(
        self,
        exec_root: str,
        lock: int,
        journal: Journal,
        entries: list[Entry],
        known: dict[int, tuple[str, bool]],
        ready: int = -1,
    ) -> None:
        set_child_subreaper()
        self._exec_root = exec_root
        self._journal = journal
        self._ready = ready
        self._loop = Loop()
        self._children = Children(exec_root, self._child_ended, self._child_exited)
        self._children.known.update(known)
        self._outputs: dict[str, Output] = {}
        self._from_daemon: dict[str, Callable[..., None]] = {
            "attach": self._attach,
            "list": self._list,
            "console": self._console,
            "cut-off": self._cut_off,
            "shutdown": self._shutdown,
            "exited": self._announce_exit,
        }
        self._from_launcher: dict[str, Callable[..., None]] = {
            "watch": self._watch,
            "forget": self._forget,
            "child": self._child_started,
            "reaped": self._child_reaped,
        }
        self._launcher = Backup(self._loop, exec_root, [lock, *journal.fds], self._on_message, self._launcher_ready)
        for entry in entries:
            self._add(entry)
        self._finish_batch_in_flight()
        self._server = Server(self._loop, f"{exec_root}/keeper.sock", self._on_request)
        self._loop.on_child(self._children.reap)
        self._start_launcher()
        self._children.reap()

    def run(self) -> None:
        while True:
            self._loop.turn()

    # --- output ----------------------------------------------------------------------------------------------------
    def _add(self, entry: Entry) -> None:
        self._outputs[entry.id] = Output(self._loop, self._journal, entry, self._drained, self._sink_gone)

    def _finish_batch_in_flight(self) -> None:
        """Do again what the process whose place we took was doing when it died."""
        self._journal.take_over()
        if not self._journal.peek():
            return
        slot, bank, held, log_size, when, last = self._journal.begun()
        for output in self._outputs.values():
            for stream in output.streams.values():
                if stream.slot == slot:
                    stream.recover(bank, held, log_size, when, last)
                    return

    def _drained(self, output: Output) -> None:
        del self._outputs[output.entry.id]
        self._server.broadcast(("drained", output.entry.id, output.entry.key))
        self._launcher.send(("drained", output.entry.key))

    def _sink_gone(self, output: Output, inode: int) -> None:
        self._launcher.send(("sink-gone", output.entry.key, inode))

    # --- the daemon ------------------------------------------------------------------------------------------------
    def _on_request(self, daemon: Connection, fds: list[int], kind: str, *arguments: object) -> None:
        self._from_daemon[kind](daemon, fds, *arguments)

    def _attach(self, daemon: Connection, fds: list[int], request: int, container_id: str, mask: int) -> None:
        """Send output from here on to `fds` as well, one for each stream in `mask` (a pty's is "stdout")."""
        output = self._outputs.get(container_id)
        if output:
            for name, fd in zip([name for bit, name in _STREAMS if mask & bit], fds, strict=True):
                if output.attach(name, fd):
                    self._launcher.send(("sink", output.entry.key, name), [fd])
        else:
            close_all(fds)
        daemon.send(("reply", request, output is not None))

    def _list(self, daemon: Connection, fds: list[int], request: int) -> None:
        daemon.send(("reply", request, {name: output.entry.key for name, output in self._outputs.items()}))

    def _console(self, daemon: Connection, fds: list[int], request: int, container_id: str) -> None:
        """The master of a container's terminal."""
        output = self._outputs.get(container_id)
        masters = [fd for _, fd in output.entry.streams.values()] if output and output.entry.log["tty"] else []
        daemon.send(("reply", request, bool(masters)), masters)

    def _cut_off(self, daemon: Connection, fds: list[int], request: int, container_id: str) -> None:
        """Take no more output of a container that has ended, though another process still has its pipes."""
        if container_id in self._outputs:
            self._outputs[container_id].cut_off()
        daemon.send(("reply", request, True))

    def _shutdown(self, daemon: Connection, fds: list[int], request: int) -> None:
        """End both processes, unless there are containers."""
        idle = not self._outputs and not os.listdir(f"{self._exec_root}/running")
        daemon.send(("reply", request, idle))
        if idle:
            self._launcher.send(("shutdown",))
            os.unlink(f"{self._exec_root}/keeper.sock")
            sys.exit()

    def _announce_exit(self, sender: Connection, fds: list[int], *ended: str | int) -> None:
        """The parent of last resort has buried a container."""
        self._server.broadcast(("exited", *ended))

    # --- the launcher ----------------------------------------------------------------------------------------------
    def _start_launcher(self) -> None:
        self._launcher.start(output.entry for output in self._outputs.values())

    def _on_message(self, fds: list[int], kind: str, *arguments: object) -> None:
        self._from_launcher[kind](fds, *arguments)

    def _launcher_ready(self) -> None:
        if self._ready >= 0:
            os.write(self._ready, b"!")
            os.close(self._ready)
            self._ready = -1

    def _watch(self, fds: list[int], fields: Fields) -> None:
        entry = Entry.received(fds, fields)
        if entry.id in self._outputs:
            self._outputs[entry.id].cut_off()
        self._add(entry)

    def _forget(self, fds: list[int], container_id: str) -> None:
        """It did not start after all."""
        if output := self._outputs.pop(container_id, None):
            output.discard()

    def _child_started(self, fds: list[int], pid: int, name: str, record: bool) -> None:
        """The launcher's, ours if it dies."""
        self._children.known[pid] = (name, record)

    def _child_reaped(self, fds: list[int], pid: int) -> None:
        self._children.known.pop(pid, None)

    # --- ends ------------------------------------------------------------------------------------------------------
    def _child_ended(self, pid: int) -> None:
        if self._launcher.died(pid):
            self._start_launcher()

    def _child_exited(self, name: str, pid: int, status: int, when: int) -> None:
        self._server.broadcast(("exited", name, pid, status, when))


def main() -> None:
    exec_root = sys.argv[1]
    ready = detach(exec_root)
    try:
        lock = only_pair(exec_root)
    except BlockingIOError:
        sys.exit("there are a keeper and a launcher already")
    Keeper(exec_root, lock, Journal(), [], {}, ready).run()
