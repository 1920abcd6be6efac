"""The daemon's connection to one of keeper and launcher: requests with answers, announcements, and its loss."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Callable
from typing import Any

from firkin.errors import Unavailable
from firkin.runtime import wire

PATIENCE = 10.0  # seconds in which a process must have been replaced
PAUSE = 0.002  # seconds between two looks at whether it has


class Link:
    """A connection to one of the two. `on_message(kind, ...)` gets announcements; `on_lost` is called when the
    process at the other end is gone, to have `connect` called until it succeeds."""

    def __init__(self, path: str, on_message: Callable[..., None], on_lost: Callable[[], None]) -> None:
        self._path = path
        self._on_message = on_message
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[Any, ...]]] = {}
        self._sock: socket.socket | None = None
        self._usable = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether the other process has greeted us: one that is just dying may still let us connect."""
        return self._usable.is_set()

    def connect(self) -> bool:
        """Connect, unless connected; False if nobody listens."""
        if self._sock:
            return True
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            return False
        self._sock = sock
        asyncio.get_running_loop().add_reader(sock, self._readable)
        return True

    async def request(
        self, kind: str, *arguments: object, fds: list[int] | None = None, patient: bool = True
    ) -> tuple[Any, ...]:
        """Send (kind, number, *arguments) and await the answer: (kind, descriptors, *fields). Raises `Unavailable` if
        the process ends in between: it may have read the request; also, unless `patient`, if it takes none now."""
        number = next(self._numbers)
        message = (kind, number, *arguments)
        if not self._sent(message, fds or []):
            if not patient:
                raise self._unavailable()
            await self._send(message, fds or [])
        answer: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            return await answer
        finally:
            del self._waiting[number]

    def close(self) -> None:
        self._usable.clear()
        if self._sock:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None

    async def _send(self, message: wire.Message, fds: list[int]) -> None:
        """A busy process is waited for; one that is being replaced takes nothing, its successor will."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not self._sent(message, fds):
                    await asyncio.sleep(PAUSE)
                    await self._usable.wait()
        except TimeoutError:
            raise self._unavailable() from None

    def _sent(self, message: wire.Message, fds: list[int]) -> bool:
        if self._sock is None or not self.usable:
            return False
        try:
            wire.send(self._sock, message, fds)
        except BlockingIOError:
            return False
        except ConnectionError:
            self._usable.clear()
            return False
        return True

    def _readable(self) -> None:
        assert self._sock
        try:
            while True:
                message, fds = wire.receive(self._sock)
                self._dispatch(fds, *message)
        except BlockingIOError:
            return
        except (EOFError, ConnectionError):
            self.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(self._unavailable())
        self._on_lost()

    def _dispatch(self, fds: list[int], kind: Any, *fields: Any) -> None:
        """An announcement, or the answer to the request whose number is its first field."""
        if kind == "hello":
            self._usable.set()
        elif kind in ("exited", "drained"):
            self._on_message(kind, *fields)
        elif (answer := self._waiting.get(fields[0])) and not answer.done():
            answer.set_result((kind, fds, *fields[1:]))
        else:
            wire.close_all(fds)

    def _unavailable(self) -> Unavailable:
        return Unavailable(f"ask {os.path.basename(self._path).removesuffix('.sock')}: the process ended")
