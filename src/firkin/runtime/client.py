"""The daemon's side of keeper and launcher: start them when there are none, ask, and wait.

Either may be replaced at any time (see keeper): a lost connection is made again; a request that cannot have been read
is sent again, one that may have been fails with `Unavailable`. Exits are told at least once: as announced, and from the
records in `exited/` after every new connection.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from subprocess import DEVNULL
from typing import Any

from firkin.errors import Unavailable
from firkin.paths import Layout
from firkin.runtime.background import command, pair_exists
from firkin.runtime.link import PATIENCE, PAUSE, Link

OnExit = Callable[[str, int, int, int], None]


@dataclass
class Spawned:
    """A process that has reached its program. Every descriptor is the receiver's to close."""

    pid: int
    pidfd: int
    console: int | None = None
    sockets: list[int] = field(default_factory=list)


class SpawnFailed(Exception):
    """A plan failed at step `index` of its "child" or "parent" list, or at the "clone" itself (-1)."""

    def __init__(self, where: str, index: int, errno: int, detail: str) -> None:
        super().__init__(f"{where} step {index}: {os.strerror(errno)}: {detail}")
        self.where = where
        self.index = index
        self.errno = errno
        self.detail = detail


class _Output:
    """One run of one container, as far as output goes."""

    def __init__(self, key: int, starting: bool) -> None:
        self.key = key
        self.starting = starting
        self.ended = asyncio.Event()


class Shepherds:
    """Keeper and launcher together."""

    def __init__(self, layout: Layout, on_exit: OnExit) -> None:
        self._layout = layout
        self._log = os.path.join(layout.exec_root, "shepherd.log")
        self._on_exit = on_exit
        self._outputs: dict[str, _Output] = {}
        self._drained_while_asking: set[int] | None = None  # keys; None while we do not ask
        self._keeper = Link(layout.keeper_socket, self._announced, self._lost)
        self._launcher = Link(layout.launcher_socket, self._announced, self._lost)
        self._links = (self._keeper, self._launcher)
        self._connecting: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, layout: Layout, on_exit: OnExit) -> Shepherds:
        """Find both, or start them. `on_exit(id, pid, wait status, time in ns)` may be called before this returns, and
        more than once for one exit. Raises `Unavailable`."""
        for directory in (layout.exec_root, layout.running, layout.exited):
            os.makedirs(directory, exist_ok=True)
        shepherds = cls(layout, on_exit)
        shepherds._connecting = asyncio.get_running_loop().create_task(shepherds._connect())
        await shepherds._connecting
        return shepherds

    async def spawn(self, plan: dict[str, Any], fds: dict[str, int]) -> Spawned:
        """Have a plan carried out; returns once the program runs. `fds` by the names in `plan["fds"]` stay the caller's.
        Raises `SpawnFailed`, or `Unavailable` if the launcher was lost meanwhile: there may be a process then."""
        output = _Output(time.monotonic_ns(), starting=True)
        if plan["log"]:
            self._outputs[plan["id"]] = output
        try:
            answer = await self._launcher.request("spawn", output.key, plan, fds=[fds[name] for name in plan["fds"]])
            return _spawned(*answer)
        except BaseException:
            if self._outputs.get(plan["id"]) is output:
                del self._outputs[plan["id"]]
            raise
        finally:
            output.starting = False

    async def attach(self, container_id: str, stdout: int | None, stderr: int | None) -> bool:
        """Copy output from here on to these pipes too (of a terminal: all to `stdout`); they stay the caller's. The
        keeper closes its ends when there is no more; False, and at once, if that is already so."""
        fds = [fd for fd in (stdout, stderr) if fd is not None]
        mask = (1 if stdout is not None else 0) | (2 if stderr is not None else 0)
        _, _, known = await self._keeper.request("attach", container_id, mask, fds=fds)
        return bool(known)

    async def console(self, container_id: str) -> int | None:
        """The master of a running container's terminal, the caller's to close; None if its terminal is gone."""
        _, fds, _ = await self._keeper.request("console", container_id)
        return fds[0] if fds else None

    async def drained(self, container_id: str) -> None:
        """Return when all output is logged and forwarded. It lasts as long as any process has the container's stdout."""
        if output := self._outputs.get(container_id):
            await output.ended.wait()

    async def cut_off(self, container_id: str) -> None:
        """Take no more output of a container that has ended, whatever other process still has its stdout."""
        await self._keeper.request("cut-off", container_id)
        await self.drained(container_id)

    async def shutdown(self) -> bool:
        """End both processes, unless there are containers with output to come; whether they end."""
        _, _, done = await self._keeper.request("shutdown")
        if done:
            self.close()
        return bool(done)

    def close(self) -> None:
        """Disconnect; both go on."""
        if self._connecting:
            self._connecting.cancel()
        for link in self._links:
            link.close()

    def _announced(self, kind: str, container_id: str, *fields: int) -> None:
        if kind == "exited":
            self._on_exit(container_id, *fields)
            return
        (key,) = fields
        if self._drained_while_asking is not None:
            self._drained_while_asking.add(key)
        if (output := self._outputs.get(container_id)) and output.key == key:
            self._end(container_id)

    def _end(self, container_id: str) -> None:
        self._outputs.pop(container_id).ended.set()

    # --- finding them again ----------------------------------------------------------------------------------------
    def _lost(self) -> None:
        if not self._connecting or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while True:
            try:
                return await self._connect()
            except Unavailable:
                await asyncio.sleep(PATIENCE)

    async def _connect(self) -> None:
        """Until both are found; if neither lives, start them."""
        deadline = time.monotonic() + PATIENCE
        while not (self._usable() and await self._catch_up() and self._usable()):
            if time.monotonic() > deadline:
                raise Unavailable("ask keeper and launcher: they do not answer")
            if not pair_exists(self._layout.exec_root) and not await self._start():
                raise Unavailable(f"start keeper and launcher: see {self._log}")
            for link in self._links:
                link.connect()
            await asyncio.sleep(0 if self._usable() else PAUSE)

    def _usable(self) -> bool:
        return all(link.usable for link in self._links)

    async def _start(self) -> bool:
        """Whether there is a pair now; if not, the log says why."""
        with open(self._log, "ab") as log:
            arguments = command("keeper", self._layout.exec_root)
            process = await asyncio.create_subprocess_exec(*arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=log)
        return await process.wait() == 0 or pair_exists(self._layout.exec_root)

    async def _catch_up(self) -> bool:
        """Learn what happened while we were not connected; False if a connection was lost over it."""
        drained = self._drained_while_asking = set()
        try:
            _, _, keys = await self._keeper.request("list", patient=False)  # nobody but us would connect it again
        except Unavailable:
            return False
        finally:
            self._drained_while_asking = None
        for container_id, output in list(self._outputs.items()):
            if not output.starting and keys.get(container_id) != output.key:
                self._end(container_id)
        for container_id, key in keys.items():
            if key not in drained:  # that was told after the answer, but may be heard before we go on from it
                self._outputs.setdefault(container_id, _Output(key, starting=False))
        for container_id in os.listdir(self._layout.exited):
            self._read_exit(container_id)
        return True

    def _read_exit(self, container_id: str) -> None:
        try:
            pid, status, when = map(int, os.readlink(os.path.join(self._layout.exited, container_id)).split())
        except FileNotFoundError:
            return  # taken away by now
        self._on_exit(container_id, pid, status, when)


def _spawned(kind: str, fds: list[int], *fields: Any) -> Spawned:
    if kind == "failed":
        raise SpawnFailed(*fields)
    pid, has_console = fields
    return Spawned(pid, fds.pop(0), fds.pop(0) if has_console else None, fds)
