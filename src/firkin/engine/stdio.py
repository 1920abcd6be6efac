"""A starting container's standard streams: pipes, or nothing at all when it gets a terminal.

Of each pipe the launcher gets both ends: the child its own, the keeper (and its backup) the other. The daemon keeps only
the write end of standard input.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from firkin.engine.table import Entry, StdinPipe


@dataclass
class Stdio:
    """`names`: the plan's names for 0, 1 and 2; `fds`: every descriptor that travels; `closing`: ours, afterwards."""

    names: tuple[str, str, str] = ("null", "null", "null")
    fds: dict[str, int] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)
    owner: tuple[int, int] | None = None

    def pipe(self, reader: str, writer: str) -> None:
        self.fds[reader], self.fds[writer] = os.pipe2(os.O_CLOEXEC)
        self.closing.callback(os.close, self.fds[reader])
        self.closing.callback(os.close, self.fds[writer])
        self.give_away(self.fds[writer])

    def give_away(self, pipe: int) -> None:
        """To the container's root, whose user may reopen it as /dev/stdout then."""
        if self.owner:
            os.fchown(pipe, *self.owner)


@contextmanager
def open_stdio(entry: Entry, owner: tuple[int, int] | None = None) -> Iterator[Stdio]:
    """Streams for a container that is about to start, with the pipes of one client that attached early; on leaving,
    what the daemon has no use for is closed. `owner`: the machine's ids of root in there, if they are not root's."""
    stdio = Stdio(owner=owner)
    config = entry.record.config
    with stdio.closing:
        if not config.tty:
            stdio.pipe("stdout_r", "stdout")
            stdio.pipe("stderr_r", "stderr")
            stdin = "null"
            if config.open_stdin:
                entry.stdin = entry.stdin or StdinPipe.make()
                if entry.stdin.read is not None:
                    stdin, stdio.fds["stdin"] = "stdin", entry.stdin.read
                    stdio.give_away(entry.stdin.read)
                    stdio.closing.callback(entry.stdin.close_read)
            stdio.names = (stdin, "stdout", "stderr")
        _add_first_client(entry, stdio)
        yield stdio


def _add_first_client(entry: Entry, stdio: Stdio) -> None:
    """Its pipes are with the keeper before the program's first byte."""
    if not entry.attached_early:
        return
    sinks = entry.attached_early.pop(0)
    stdio.closing.callback(sinks.close)
    for name, fd in (("sink_out", sinks.stdout), ("sink_err", sinks.stderr)):
        if fd is not None:
            stdio.fds[name] = fd
