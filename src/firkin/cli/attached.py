"""The user's side of an attached container: raw terminal, window size, signals passed on, detach keys.

Made before the container starts, so that no signal sent meanwhile is lost; `run` then copies until the output ends.
"""

from __future__ import annotations

import os

from firkin.cli import signals
from firkin.cli.errors import Failure
from firkin.cli.stream import Session
from firkin.cli.window import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.client import Client
    from firkin.cli.http import Connection


class NoTerminal(Failure):
    """A terminal was asked for and standard input is none."""


class Attached:
    """`path` is the API path of what is attached to: `/containers/ID` or `/exec/ID`."""

    def __init__(self, client: Client, path: str, tty: bool, stdin: bool, proxy: bool = False, detach_keys: str = "") -> None:
        self.client = client
        self.path = path
        self.tty = tty
        self.stdin = stdin
        self.detach_keys = detach_keys
        self.proxy = proxy and not tty  # with a terminal, keys such as ctrl-c are bytes for the container to interpret
        wanted = signals.ALL if self.proxy else [signals.WINDOW_CHANGED] if tty else []
        self.caught = signals.Caught(wanted) if wanted else None

    def run(self, connection: Connection) -> bool:
        """Copy until the output ends; False when the user detached."""
        if not self.tty:
            return Session(connection, False, 0 if self.stdin else None).run(self.caught, self._forward)
        self.resize()
        if not self.stdin or not os.isatty(0):
            return Session(connection, True, 0 if self.stdin else None).run(self.caught, self._forward)
        from firkin.cli.terminal import DEFAULT_DETACH_KEYS, DetachKeys, RawMode, parse_keys

        keys = DetachKeys(parse_keys(self.detach_keys or DEFAULT_DETACH_KEYS))
        with RawMode(0):
            return Session(connection, True, 0, keys).run(self.caught, self._forward)

    def resize(self) -> None:
        """Tell the daemon how large the window is now."""
        height, width = size()
        if height and width:
            self._tell(self.path + "/resize", h=height, w=width)

    def _forward(self, number: int) -> None:
        if self.tty and number == signals.WINDOW_CHANGED:
            self.resize()
        elif self.proxy:
            self._tell(self.path + "/kill", signal=signals.name(number))

    def _tell(self, path: str, **query: object) -> None:
        try:
            self.client.post(path, **query)
        except Failure:
            pass  # it has ended meanwhile; the stream and the exit code will say so


def check_terminal(tty: bool, stdin: bool) -> None:
    """Raises `Failure` when a terminal is to be forwarded but standard input is none."""
    if tty and stdin and not os.isatty(0):
        raise NoTerminal("the input device is not a TTY")
