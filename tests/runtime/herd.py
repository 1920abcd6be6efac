"""A keeper and a launcher of one's own, containers of the simplest kind (a shell, no namespaces), and ways to kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.lab import SLOWNESS

from firkin.paths import Layout
from firkin.runtime.client import Shepherds, Spawned

ENV = ["PATH=/usr/bin:/bin"]
Exit = tuple[str, int, int, int]


class Gate:
    """Holds a script up at `{gate.wait}` until the test opens it; once."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.wait = f"read _ < {path}"
        self._path = path

    async def open(self) -> None:
        await eventually(self._opened)

    def _opened(self) -> bool:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False  # the script is not there yet
        os.write(fd, b"\n")
        os.close(fd)
        return True


class Herd:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._gates = 0
        self.layout = Layout(str(root / "data"), str(root / "run"))
        os.makedirs(self.layout.containers)
        self.exits: list[Exit] = []
        self.shepherds: Shepherds

    async def connect(self) -> None:
        self.shepherds = await Shepherds.connect(self.layout, lambda *ended: self.exits.append(ended))

    def gate(self) -> Gate:
        self._gates += 1
        return Gate(self._root / f"gate{self._gates}")

    def log_path(self, name: str) -> str:
        return os.path.join(self.layout.containers, name)

    async def run(self, name: str, script: str, **options: Any) -> Spawned:
        """Start a shell as container `name`; its output goes to the log and, if given, to `sink_out` and `sink_err`."""
        tty = options.pop("tty", False)
        sinks = {key: options.pop(key) for key in ("sink_out", "sink_err") if key in options}
        log = {
            "path": self.log_path(name),
            "max_size": 0,
            "max_file": 1,
            "driver": "json-file",
            "tty": tty,
            "attributes": "",
            **options,
        }
        handed = dict(sinks)
        pipes = [] if tty else [os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)]
        for stream, (read, write) in zip(("stdout", "stderr"), pipes, strict=False):
            handed |= {stream + "_r": read, stream + "_w": write}
        stdio: list[tuple[Any, ...]] = [("exec-console", 24, 80)] if tty else [("stdio", "null", "stdout_w", "stderr_w")]
        steps = [*stdio, ("exec", ["/bin/sh", "-c", script], ENV)]
        try:
            return await self.shepherds.spawn(plan(name, steps, list(handed), log), handed)
        finally:
            for pipe in pipes:
                os.close(pipe[0])
                os.close(pipe[1])

    def entries(self, name: str) -> list[dict[str, str]]:
        with open(self.log_path(name)) as log:
            return [json.loads(line) for line in log]

    def text(self, name: str, stream: str = "stdout") -> str:
        return "".join(entry["log"] for entry in self.entries(name) if entry["stream"] == stream)

    def pid(self, which: str) -> int:
        """Of the keeper or the launcher that answers now; 0 if none does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            try:
                sock.connect(f"{self.layout.exec_root}/{which}.sock")
            except OSError:
                return 0
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return int(struct.unpack("3i", credentials)[0])

    async def kill(self, which: str) -> None:
        """SIGKILL one of the two, and wait until both are there again."""
        victim = self.pid(which)
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: victim not in (0, self.pid("keeper"), self.pid("launcher")) and self.pid("keeper") != 0)
        await eventually(lambda: self.pid("launcher") not in (0, victim, self.pid("keeper")))

    async def exit_of(self, name: str) -> Exit:
        """(id, pid, wait status, time), once it is told."""
        await eventually(lambda: any(ended[0] == name for ended in self.exits))
        return next(ended for ended in self.exits if ended[0] == name)

    def end(self) -> None:
        """Kill both and their parent; all are stopped first, or one would replace the other."""
        while pids := self.processes():
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    def processes(self) -> list[int]:
        """Everything that belongs to this herd, by its directory on the command line."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(self.layout.exec_root.encode() + b"\0"):
                    found.append(int(pid))
            except OSError:
                continue
        return found


def plan(
    name: str, steps: list[tuple[Any, ...]], fds: list[str], log: dict[str, Any] | None, record: bool = True
) -> dict[str, Any]:
    return {"id": name, "clone": 0, "pidns": "", "record": record, "parent": [], "child": steps, "fds": fds, "log": log}


async def eventually(condition: Any, seconds: float = 10) -> None:
    """Until the condition holds, or the test has failed."""
    async with asyncio.timeout(seconds * SLOWNESS):
        while not condition():  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.002)


@asynccontextmanager
async def herd(root: Path) -> AsyncIterator[Herd]:
    """Connected; in the end none of its processes is left."""
    made = Herd(root)
    try:
        await made.connect()
        try:
            yield made
        finally:
            made.shepherds.close()
    finally:
        made.end()
