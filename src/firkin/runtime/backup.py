"""The launcher as the keeper sees it: started by it, given duplicates of all it holds, replaced when it dies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

from firkin.linux import sockets as socket
from firkin.runtime import sealed
from firkin.runtime.background import command
from firkin.runtime.entries import Entry
from firkin.runtime.loop import Loop
from firkin.runtime.wire import Connection, Message

PAIR_FD = 3  # where a launcher finds its end of the socket to the keeper
_PAUSE = 1.0  # seconds before another is tried after one that did not even come up


class Backup:
    """`on_message(descriptors, kind, ...)` gets what the launcher says, but "ready", which is `on_ready()`."""

    def __init__(
        self, loop: Loop, exec_root: str, inheritance: list[int], on_message: Callable[..., None], on_ready: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._exec_root = exec_root
        self._inheritance = inheritance
        self._on_message = on_message
        self._on_ready = on_ready
        self._pid = 0
        self._connection: Connection | None = None
        self._ready = False

    def start(self, entries: Iterable[Entry]) -> None:
        """Start one and tell it all; it serves once it has read that."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()  # posix_spawn would have it, and so containers, ignore two signals of glibc's own
        if self._pid == 0:
            self._become_launcher(theirs)
        self._ready = False
        theirs.close()
        self._connection = Connection(self._loop, ours, self._received, lambda connection: None)
        self.send(("inheritance",), self._inheritance)
        for entry in entries:
            self.send(*entry.message())
        self.send(("serve",))

    def _become_launcher(self, pair: socket.socket) -> None:
        """Without the daemon's environment: a container may come to see its children's (see `sealed`)."""
        try:
            os.dup2(pair.fileno(), PAIR_FD)
            os.set_inheritable(PAIR_FD, True)
            arguments = command("launcher", self._exec_root)
            sealed.execute(arguments, {})
        except OSError as error:
            os.write(2, f"execute launcher: {error.strerror}: {error.filename}\n".encode())
        finally:
            os._exit(127)

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        if self._connection:
            self._connection.send(message, fds)

    def died(self, pid: int) -> bool:
        """Whether this ended child was the launcher. What it still had to say has been handled then."""
        if pid != self._pid or not self._connection:
            return False
        self._connection.drain()
        self._connection.close()
        if not self._ready:
            time.sleep(_PAUSE)
        return True

    def _received(self, connection: Connection, fds: list[int], kind: str, *fields: object) -> None:
        if kind == "ready":
            self._ready = True
            self._on_ready()
        else:
            self._on_message(fds, kind, *fields)
