"""What a command is, and what it is given when it runs."""

from __future__ import annotations

import os

from firkin.cli import hosts, settings
from firkin.cli.client import Client
from firkin.cli.errors import ArgumentError, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any

    from firkin.cli.catalog import Entry
    from firkin.cli.flags import Flag, Options


class Command:
    """One command: `usage` without its name, flags, how many arguments, and `run(context, options, arguments) -> exit code`."""

    __slots__ = ("flags", "interspersed", "least", "most", "passes_flags", "run", "text", "usage")

    def __init__(
        self,
        run: Callable[[Context, Options, list[str]], int],
        usage: str,
        flags: tuple[Flag, ...] = (),
        least: int = 0,
        most: int | None = 0,
        interspersed: bool = True,
        text: str = "",
        passes_flags: bool = False,
    ) -> None:
        self.run = run
        self.usage = usage
        self.flags = flags
        self.least = least
        self.most = most  # None: any number
        self.interspersed = interspersed
        self.passes_flags = passes_flags  # every word is an argument: another program's parser takes them
        self.text = text  # a longer description than the catalog's, if the command needs one

    def check_count(self, count: int, name: str) -> None:
        """Raises `ArgumentError` in docker's words when `count` arguments are too few or too many."""
        if count >= self.least and (self.most is None or count <= self.most):
            return
        if self.most is None:
            wanted = f"at least {self.least} {_arguments(self.least)}"
        elif self.least == self.most:
            wanted = f"{self.least} {_arguments(self.least)}"
        elif self.least:
            wanted = f"at least {self.least} and at most {self.most} arguments"
        else:
            wanted = f"at most {self.most} {_arguments(self.most)}"
        raise ArgumentError(f"'firkin {name}' " + (f"requires {wanted}" if self.most != 0 else "accepts no arguments"))


def _arguments(count: int) -> str:
    return "argument" if count == 1 else "arguments"


def load(entry: Entry) -> Command:
    """Import the module that holds a command of the catalog."""
    module = __import__("firkin.cli.commands." + entry.module, fromlist=["COMMANDS"])
    command: Command = module.COMMANDS[entry.names[0]]
    return command


class Context:
    """One invocation: the name it was called by, the global options, and the daemon (connected to when first used)."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self._client: Client | None = None
        self._settings: settings.Settings | None = None

    @property
    def settings(self) -> settings.Settings:
        """The user's `config.json` (docker's)."""
        if self._settings is None:
            self._settings = settings.read(self.options["config"] or settings.directory(os.environ))
        return self._settings

    @property
    def host(self) -> hosts.Host:
        tls: dict[str, Any] = {"tls": False}
        if self.options["tls"] or self.options["tlsverify"] or os.environ.get("DOCKER_TLS_VERIFY"):
            tls = hosts.tls_options(self.options, os.environ, self.settings.directory)
        return hosts.choose(self.options["host"], tls, os.environ)

    @property
    def client(self) -> Client:
        if self._client is None:
            headers = {"User-Agent": "Firkin-Client", **self.settings.http_headers}
            self._client = Client(self._connect, headers, os.environ.get("DOCKER_API_VERSION", ""))
        return self._client

    def _connect(self) -> socket:
        """Connect; where nobody was told to look elsewhere and nobody answers, start a daemon first."""
        host = self.host
        try:
            return host.connect()
        except Unreachable:
            if host.told:
                raise
            from firkin.cli import autostart

            autostart.start(host)
            return host.connect()
