"""Streams: an attached client's view of a process, as pipes (or one pty master) in this process.

Reading is pull-based, so a slow client holds back the keeper, which holds back the container, as Docker does.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable

from firkin.engine.detach import Detached, KeyScanner

CHUNK = 65536

__all__ = ["Detached", "Streams", "pipe_pair"]


def pipe_pair() -> tuple[int, int]:
    """A close-on-exec pipe whose read end does not block: (read, write)."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    return read, write


class Streams:
    """Both directions of one attachment.

    `outputs`: descriptor -> stream number (1 stdout, 2 stderr), owned and closed here. `stdin`: tells
    the descriptor to write to, which belongs to the container and may be gone (None); None when input is not attached.
    `finished` is awaited before the end of output is told, so that an exit code can be asked for right after it.
    `on_leave` takes over the outputs of a client that leaves before they end; without it they are closed.
    """

    def __init__(
        self,
        outputs: dict[int, int],
        stdin: Callable[[], Awaitable[int | None]] | None = None,
        *,
        tty: bool = False,
        detach_keys: str = "",
        on_close_stdin: Callable[[], None] = lambda: None,
        on_close: Callable[[], None] = lambda: None,
        on_detach: Callable[[], None] = lambda: None,
        on_leave: Callable[[dict[int, int]], None] | None = None,
        finished: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.tty = tty
        self.detached = False
        self._outputs = outputs
        self._stdin = stdin
        self._scanner = KeyScanner(detach_keys) if tty else None
        self._on_close_stdin = on_close_stdin
        self._on_close = on_close
        self._on_detach = on_detach
        self._on_leave = on_leave
        self._finished = finished
        self._closed = False
        self._ready: asyncio.Future[None] | None = None

    async def read(self) -> tuple[int, bytes] | None:
        """The next (stream, data); None at the end of all output, after a detach or after `close`."""
        while self._outputs and not self._closed:
            for fd, stream in list(self._outputs.items()):
                data = self._read_now(fd)
                if data:
                    return stream, data
                if data is not None:
                    os.close(fd)
                    del self._outputs[fd]
            if self._outputs:
                await self._readable()
        if self._finished and not self._closed:
            await self._finished()
        return None

    async def write(self, data: bytes) -> None:
        """Input for the process; waits while it does not read. Raises `Detached` when the detach keys come by.
        Input for a process that is gone, or has closed its input, is dropped."""
        if self._scanner:
            data, detach = self._scanner.feed(data)
            if detach:
                self.detached = True
                self._closed = True
                self._wake()
                self._on_detach()
                raise Detached()
        rest = memoryview(data)
        while rest:
            fd = await self._stdin() if self._stdin else None
            if fd is None:
                return
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                await self._writable(fd)
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.EIO, errno.EBADF):
                    return
                raise

    async def close_stdin(self) -> None:
        """The client will send no more (half-close)."""
        self._on_close_stdin()

    async def leave(self) -> None:
        """The client goes, and whoever is to have them gets the outputs that are left."""
        if self._outputs and self._on_leave:
            for fd in self._outputs:
                asyncio.get_running_loop().remove_reader(fd)
            left, self._outputs = self._outputs, {}
            self._on_leave(left)
        await self.close()

    async def close(self) -> None:
        """End the attachment; the process goes on. Safe to call twice."""
        self._closed = True
        for fd in self._outputs:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        self._outputs.clear()
        self._wake()
        self._on_close()
        self._on_close = lambda: None

    @staticmethod
    def _read_now(fd: int) -> bytes | None:
        """Data; b"" at the end; None when there is nothing yet. A pty master whose slave is closed gives EIO."""
        try:
            return os.read(fd, CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        watched = list(self._outputs)
        for fd in watched:
            loop.add_reader(fd, self._wake)
        try:
            await self._ready
        finally:
            for fd in watched:
                if fd in self._outputs:  # or `close` has been here, and the number may be somebody else's by now
                    loop.remove_reader(fd)

    def _wake(self) -> None:
        if self._ready:
            _set(self._ready)

    @staticmethod
    async def _writable(fd: int) -> None:
        loop = asyncio.get_running_loop()
        own = os.dup(fd)  # the container may close its descriptor while we wait, and two clients may wait at once
        ready = loop.create_future()
        loop.add_writer(own, _set, ready)
        try:
            await ready
        finally:
            loop.remove_writer(own)
            os.close(own)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
