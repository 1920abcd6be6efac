"""A probe: one run of a health check's command, bounded in time, in output, and in what it leaves.

Invariant: a result comes in time, whatever the command does; and after `end` nothing of it runs that was ended by force. The
two are apart because a process that hangs in the kernel dies when the kernel lets it: its result is known, its end is not.
Source: Docker Engine API, HealthConfig; moby `daemon/health.go` (cmdProbe).
"""

from __future__ import annotations

import asyncio
import time

from firkin.engine import exec, processes
from firkin.engine.engine import Engine, ExecSession
from firkin.engine.table import Entry
from firkin.errors import FirkinError
from firkin.model import ExecRequest, HealthResult

_OUTPUT_LIMIT = 4096
_AGAIN = 0.1  # seconds between two attempts to end one that forks, or hangs


class Probe:
    """One run, which begins at once. Whoever is cancelled while it waits here is to `abandon` it."""

    def __init__(self, engine: Engine, entry: Entry, command: tuple[str, ...]) -> None:
        self._engine, self._entry = engine, entry
        self._session: ExecSession | None = None
        self._began = time.time_ns()
        self._run = asyncio.create_task(self._execute(ExecRequest(command, attach_stdout=True, attach_stderr=True)))

    async def result(self, timeout: float) -> HealthResult:
        """A run that takes longer than `timeout` seconds, or cannot start, has failed."""
        await asyncio.wait((self._run,), timeout=timeout)
        try:
            late = (-1, f"Health check exceeded timeout ({timeout:g}s)".encode())
            code, output = self._run.result() if self._run.done() else late
        except FirkinError as error:
            code, output = -1, error.message.encode()
        return HealthResult(self._began, time.time_ns(), code, output.decode(errors="replace"))

    async def end(self) -> None:
        """End it with its children, if it has not ended by itself, and wait until that is so."""
        while not self._run.done() and await self._is_there():
            await asyncio.wait((self._run,), timeout=_AGAIN)
        self.abandon()

    def abandon(self) -> None:
        """Its container is down, or what is left of it holds nothing but its output open."""
        self._run.cancel()

    async def _is_there(self) -> bool:
        """Whether it has processes still, or is about to; those it has get SIGKILL."""
        session, live = self._session, self._entry.live
        if session is None or live is None or not session.record.pid:
            return live is not None
        return await processes.kill_descent(self._engine, live, session.record.pid) or session.record.running

    async def _execute(self, request: ExecRequest) -> tuple[int, bytes]:
        """Exit code, and the first bytes of the output; more is read, so that nobody waits for us, but not kept."""
        exec_id = await exec.create(self._engine, self._entry.id, request)
        self._session = self._engine.execs[exec_id]
        streams = await exec.start(self._engine, exec.claim(self._engine, exec_id))
        output = b""
        try:
            while (item := await streams.read()) is not None:
                output = (output + item[1])[:_OUTPUT_LIMIT]
                await asyncio.sleep(0)  # one that writes without pause is not to keep the engine from others
        finally:
            await streams.close()
        return self._session.record.exit_code or 0, output
