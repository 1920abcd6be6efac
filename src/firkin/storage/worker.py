"""Start worker processes: file work that takes long, or takes place where only hostile files are.

One process does one operation. Its request goes to standard input, ahead of the operation's own input; standard output
is the operation's output; what it says on standard error, one marshalled dictionary, is the result. Anything else there is
Python's last words.
"""

from __future__ import annotations

import asyncio
import marshal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from firkin import errors
from firkin.errors import FirkinError, Internal, Invalid

_START = "import sys; sys.path[:0] = sys.argv[1:]; from firkin.storage.worker_main import main; main()"
_KINDS = {cls.kind: cls for cls in FirkinError.__subclasses__()}
PIPE = 1 << 20  # bytes read from a worker at once
_LONGEST_ANSWER = 64 << 20  # bytes; what is known of a layer has names in it, which are an archive's


class Worker:
    """A running worker. Use it as a context: on leaving, it has ended, killed if need be."""

    def __init__(self, operation: str, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        self._request = marshal.dumps((operation, request))
        self._fds = fds

    async def __aenter__(self) -> Worker:
        # -I -S -E: no environment, no site hooks, no user's own modules
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-ISE", "-c", _START, *filter(None, sys.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=self._fds,
            env={},
            cwd="/",
            limit=PIPE,
        )
        self.stdin.write(struct.pack("=I", len(self._request)) + self._request)
        return self

    @property
    def stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        assert self._process.stdout
        return self._process.stdout

    async def result(self) -> dict[str, Any]:
        """Its answer; raises the error it reports, and `Invalid` if the answer has no end."""
        said = await self._words()
        await self._process.wait()
        try:
            answer: dict[str, Any] = marshal.loads(said)
        except (ValueError, EOFError, TypeError):
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise Internal(f"storage worker ended with status {self._process.returncode}: {last}")
        if "kind" in answer:
            raise _KINDS.get(answer["kind"], errors.Internal)(answer["message"])
        return answer

    async def _words(self) -> bytes:
        assert self._process.stderr
        said = bytearray()
        while piece := await self._process.stderr.read(PIPE):
            said += piece
            if len(said) > _LONGEST_ANSWER:
                raise Invalid(f"storage worker: more than {_LONGEST_ANSWER} bytes would have to be known of these files")
        return bytes(said)

    async def __aexit__(self, *error: object) -> None:
        self.stdin.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def run(operation: str, request: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
    """One operation without input or output beyond its request and result."""
    async with Worker(operation, request, fds) as worker:
        worker.stdin.close()
        return await worker.result()


async def output(operation: str, request: dict[str, Any], fds: Sequence[int] = ()) -> AsyncIterator[bytes]:
    """What the operation writes, piece by piece; raises the error it reports, if any, at the end."""
    async with Worker(operation, request, fds) as worker:
        worker.stdin.close()
        while data := await worker.stdout.read(PIPE):
            yield data
        await worker.result()
