"""An event loop of one epoll: what keeper and launcher wait with.

Invariant: a descriptor leaves the loop before it is closed. Epoll watches open file descriptions, and the other
process has duplicates of most of ours, so closing alone would leave a watch behind that nobody can remove.
Source: epoll(7), questions 6 and 9.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # without its enumerations
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_IDLE = 0.001  # seconds


class Loop:
    """Descriptors and what to call with the ready events (select.EPOLL*) of each."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._signals: list[int] = []

    def add(self, fd: int, handler: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Wait for other events of a descriptor; one that is not watched is fine."""
        if fd in self._handlers:
            self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget a descriptor; one that is not watched is fine."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def turn(self, idle: Callable[[], None] | None = None) -> None:
        """Wait for events and handle those that came; each handler may add and remove descriptors. When none comes for a
        millisecond, `idle` gets its turn."""
        ready = self._epoll.poll(_IDLE if idle else None)
        if idle and not ready:
            idle()
        for fd, events in ready:
            handler = self._handlers.get(fd)
            if handler:
                handler(events)

    def close(self) -> None:
        """Watch nothing any more; the descriptors that were watched stay open."""
        signal.set_wakeup_fd(-1)
        for fd in self._signals:
            os.close(fd)
        self._epoll.close()
        self._handlers.clear()

    def on_child(self, handler: Callable[[], None]) -> None:
        """Call `handler` after any SIGCHLD. Slow system calls made through ctypes are restarted, not interrupted."""
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._signals = [read, write]
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.siginterrupt(signal.SIGCHLD, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)

        def wake(events: int) -> None:
            os.read(read, 4096)
            handler()

        self.add(read, wake)
