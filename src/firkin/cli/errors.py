"""What a command may fail with; `main` prints each kind once, the way docker's client does.

`Failure` is printed as it is, `DaemonError` is what the daemon answered; `FlagError` and `ArgumentError` are wrong
command lines and are followed by the usage.
"""

from __future__ import annotations

from firkin.cli.format.visible import visible


class Failure(Exception):
    """The command failed: `message` goes to standard error, `code` to the shell."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class DaemonError(Failure):
    """The daemon answered with an error; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("Error response from daemon: " + visible(message, keep="\n\t"))
        self.status = status
        self.reason = message


class Unreachable(Failure):
    """No daemon answers where the client was told to look."""


class FlagError(Failure):
    """A flag that does not exist or has a bad value (exit code 125, as docker's)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 125)


class ArgumentError(Failure):
    """The wrong number of arguments."""
