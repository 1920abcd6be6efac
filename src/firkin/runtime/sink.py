"""An attached client as the keeper sees it: the write end of a pipe, and what the client has not taken yet.

Invariant: at most one batch is pending; its stream is not read before every client has taken everything.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable

from firkin.runtime.loop import Loop


class Sink:
    """Calls `on_flushed()` when nothing is pending any more, `on_gone(self)` when nobody reads any more."""

    def __init__(self, loop: Loop, fd: int, on_flushed: Callable[[], None], on_gone: Callable[[Sink], None]) -> None:
        self.fd = fd
        self.pending = memoryview(b"")
        self._loop = loop
        self._on_flushed = on_flushed
        self._on_gone = on_gone
        os.set_blocking(fd, False)
        loop.add(fd, self._ready, 0)

    def write(self, data: bytes) -> None:
        self.pending = memoryview(data)
        self._flush()
        if self.pending:
            self._loop.change(self.fd, select.EPOLLOUT)

    def leave(self) -> None:
        """Out of the loop; the descriptor's owner may close it now."""
        self._loop.remove(self.fd)

    def _flush(self) -> None:
        try:
            while self.pending:
                self.pending = self.pending[os.write(self.fd, self.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.pending = memoryview(b"")  # the loop is about to report it

    def _ready(self, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self._on_gone(self)
            return
        self._flush()
        if not self.pending:
            self._loop.change(self.fd, 0)
            self._on_flushed()
