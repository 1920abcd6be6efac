"""The launcher: starts containers and execs as plans say, is their parent, and can take the keeper's place.

It waits for nothing: a child that is still setting itself up is one more descriptor in the loop. Output pipes are
registered with the keeper before the child exists, so no byte comes too early. When the keeper dies, the launcher
answers what has been asked of it already and becomes the keeper.

Request: ("spawn", rid, key, plan) + the plan's descriptors, answered by ("started", rid, pid, has console) + [pidfd, console
if any, sockets...] or ("failed", rid, "clone" | "parent" | "child", step, errno, detail).
Announcement: ("exited", id, pid, wait status, time ns).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from firkin.linux import fs, process
from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink
from firkin.runtime import spare
from firkin.runtime.backup import PAIR_FD
from firkin.runtime.entries import Entries, Entry, Fields, Log
from firkin.runtime.exits import Children, forget_running, write_running
from firkin.runtime.journal import Journal
from firkin.runtime.keeper import Keeper
from firkin.runtime.loop import Loop
from firkin.runtime.spare import Spare
from firkin.runtime.spawn import Outcome, Spawned, SpawnError, make_spare, spawn
from firkin.runtime.wire import Connection, Server, close_all, receive

_STREAMS = (("stdout", "stdout_r", "sink_out"), ("stderr", "stderr_r", "sink_err"))  # and a plan's names for them


class Start:
    """A child that has not reached its program yet, and who asked for it."""

    def __init__(self, daemon: Connection, request: int, name: str, spawned: Spawned, entry: Entry | None) -> None:
        self.daemon = daemon
        self.request = request
        self.id = name
        self.spawned = spawned
        self.entry = entry
        self.outcome = Outcome()

    def answer(self) -> None:
        """Tell the daemon how it went, and let go of what came of it."""
        console = [] if self.outcome.console is None else [self.outcome.console]
        fds = [self.spawned.pidfd, *console, *self.outcome.sockets]
        if self.outcome.failure:
            self.daemon.send(("failed", self.request, "child", *self.outcome.failure))
        else:
            self.daemon.send(("started", self.request, self.spawned.pid, bool(console)), fds)
        self.spawned.status.close()
        close_all(fds)


class Launcher:
    """`run` returns when the keeper has died and everything asked for is answered."""

    def __init__(self, exec_root: str, keeper: socket.socket) -> None:
        _, (self.lock, *journal) = receive(keeper)
        self.journal = Journal(journal)
        self.entries = Entries()
        self._exec_root = exec_root
        self._starts: dict[int, Start] = {}
        self._loop = Loop()
        self._netlink = Netlink()
        self.children = Children(exec_root, self._child_ended, self._child_exited)
        self._loop.on_child(self.children.reap)
        self._from_keeper: dict[str, Callable[..., None]] = {
            "watch": self._watch,
            "serve": self._serve,
            "drained": lambda fds, key: self.entries.close(key),
            "sink": lambda fds, key, stream: self.entries.add_sink(key, stream, fds[0]),
            "sink-gone": lambda fds, key, inode: self.entries.drop_sink(key, inode),
            "shutdown": self._shutdown,
        }
        self._spare: Spare | None = None
        self._spare_kinds = spare.KINDS
        self._orphaned = False
        self._server: Server | None = None
        self._keeper = Connection(self._loop, keeper, self._on_message, self._keeper_gone)

    def run(self) -> None:
        while not self._orphaned:
            self._loop.turn(self._make_spare if self._server and not self._spare else None)
        self._drop_spare()
        if self._server:
            self._server.retire()
        while self._starts:
            self._loop.turn()
        if self._server:
            self._server.disconnect()
        self._loop.close()

    # --- starting --------------------------------------------------------------------------------------------------
    def _on_request(
        self, daemon: Connection, fds: list[int], kind: str, request: int, key: int, plan: dict[str, object]
    ) -> None:
        """There is only "spawn"."""
        names, log, name = plan["fds"], plan["log"], str(plan["id"])
        assert isinstance(names, list)
        handed = dict(zip(names, fds, strict=True))
        entry = self._make_entry(key, name, log, handed) if isinstance(log, dict) else None
        try:
            spawned = spawn(plan, handed, self._netlink, self._take_spare(plan))
        except SpawnError as error:
            daemon.send(("failed", request, error.where, error.index, error.errno, error.filename or ""))
            self._forget(entry)
        else:
            self._follow(Start(daemon, request, name, spawned, entry), bool(plan["record"]))
        finally:
            close_all(list(handed.values()))

    def _make_spare(self) -> None:
        """There is time: clone the child of the next container, which is taken to be like the last one."""
        self._spare = make_spare(self._netlink, self._spare_kinds)

    def _take_spare(self, plan: dict[str, object]) -> Spare | None:
        if not (kinds := spare.wanted(plan)):
            return None
        if kinds != self._spare_kinds:
            self._spare_kinds = kinds
            self._drop_spare()
        taken, self._spare = self._spare, None
        return taken

    def _drop_spare(self) -> None:
        if self._spare:
            self._spare.close()
            self._spare = None

    def _make_entry(self, key: int, name: str, log: Log, handed: dict[str, int]) -> Entry:
        """Take what is the keeper's out of `handed`. A container with a terminal has no output before its child made it."""
        entry = Entry(key, name, log)
        self.entries.add(entry)
        for stream, source, sink in _STREAMS:
            if source in handed:
                self._add_stream(entry, stream, handed.pop(source))
            if sink in handed:
                entry.sinks.append((stream, handed.pop(sink)))
        if entry.streams:
            self._keeper.send(*entry.message())
        return entry

    def _add_stream(self, entry: Entry, stream: str, fd: int) -> None:
        slot = self.entries.add_stream(entry, stream, fd)
        self.journal.hold(slot, 0, b"")

    def _follow(self, start: Start, record: bool) -> None:
        """The child is on its way."""
        pid = start.spawned.pid
        self.children.known[pid] = (start.id, record)
        if record:
            write_running(self._exec_root, start.id, pid)
        self._starts[pid] = start
        self._loop.add(start.spawned.status.fileno(), lambda events: self._progress(start))

    def _progress(self, start: Start) -> None:
        ended = start.outcome.read(start.spawned.status)
        self._renumber(start)
        if not ended:
            return
        del self._starts[start.spawned.pid]
        self._loop.remove(start.spawned.status.fileno())
        if start.outcome.failure:
            self._give_up(start)
            start.answer()
            return
        if start.entry and start.outcome.console is not None:
            self._add_stream(start.entry, "stdout", os.dup(start.outcome.console))
            self._keeper.send(*start.entry.message())
        start.answer()
        self._keeper.send(("child", start.spawned.pid, *self.children.known[start.spawned.pid]))

    def _renumber(self, start: Start) -> None:
        """Its process may have become another."""
        old = start.spawned.pid
        if start.spawned.follow(start.outcome):
            del self._starts[old]
            self._starts[start.spawned.pid] = start
            self.children.known[start.spawned.pid] = self.children.known.pop(old)

    def _give_up(self, start: Start) -> None:
        """It failed on its way: nobody is to hear of its exit."""
        self.children.known.pop(start.spawned.pid)
        forget_running(self._exec_root, start.id)
        self._forget(start.entry)

    def _forget(self, entry: Entry | None) -> None:
        """What should have written this output did not start."""
        if entry:
            if entry.streams:
                self._keeper.send(("forget", entry.id))
            self.entries.close(entry.key)

    # --- exits -----------------------------------------------------------------------------------------------------
    def _child_ended(self, pid: int) -> None:
        """Whoever asked hears of the start before the exit. A child not heard of yet: one of the others has become it."""
        starts = [self._starts[pid]] if pid in self._starts else [] if pid in self.children.known else [*self._starts.values()]
        for start in starts:
            self._progress(start)
        if self._spare and self._spare.pid == pid:
            self._drop_spare()

    def _child_exited(self, name: str, pid: int, status: int, when: int) -> None:
        self._keeper.send(("reaped", pid))
        if self._server:
            self._server.broadcast(("exited", name, pid, status, when))

    # --- the keeper ------------------------------------------------------------------------------------------------
    def _on_message(self, keeper: Connection, fds: list[int], kind: str, *arguments: object) -> None:
        self._from_keeper[kind](fds, *arguments)

    def _watch(self, fds: list[int], fields: Fields) -> None:
        """An output that the keeper has from before our time."""
        self.entries.add(Entry.received(fds, fields))

    def _serve(self, fds: list[int]) -> None:
        """We know all that the keeper knows."""
        self._server = Server(self._loop, f"{self._exec_root}/launcher.sock", self._on_request)
        self._keeper.send(("ready",))

    def _shutdown(self, fds: list[int]) -> None:
        os.unlink(f"{self._exec_root}/launcher.sock")
        sys.exit()

    def _keeper_gone(self, keeper: Connection) -> None:
        self._orphaned = True


def main() -> None:
    exec_root = sys.argv[1]
    fs.write_file("/proc/self/comm", "firkin-launcher")  # executed by descriptor, it is called by a number
    # Its children are so from their first moment: what is not a program yet is nobody's to trace.
    process.set_dumpable(False)
    pair = socket.socket(fileno=PAIR_FD)
    os.set_inheritable(pair.fileno(), False)
    launcher = Launcher(exec_root, pair)
    launcher.run()
    Keeper(exec_root, launcher.lock, launcher.journal, list(launcher.entries), launcher.children.known).run()
