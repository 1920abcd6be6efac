"""The eight kinds of error, one class each.

An error is raised near its cause with a message of verb + object + reason (`mount proc on /proc: operation
not permitted`) and travels unchanged to a front end, which maps its kind once (HTTP status, exit code).
"""

from __future__ import annotations

import os


class FirkinError(Exception):
    """Base of every error a caller may expect; never raised itself."""

    kind = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(FirkinError):
    """What was named does not exist."""

    kind = "not-found"


class Conflict(FirkinError):
    """The present state of the object forbids the request (name taken, still running, in use)."""

    kind = "conflict"


class Invalid(FirkinError):
    """The request itself is wrong, whatever the state."""

    kind = "invalid"


class NotModified(FirkinError):
    """The object is already as the request wants it."""

    kind = "not-modified"


class Forbidden(FirkinError):
    """The requester may not do this (credentials, policy)."""

    kind = "forbidden"


class Unavailable(FirkinError):
    """Something needed is out of reach for now (a registry, a helper process)."""

    kind = "unavailable"


class Unsupported(FirkinError):
    """Firkin does not implement this, or this kernel lacks it."""

    kind = "not-implemented"


class Internal(FirkinError):
    """A step that should have worked did not."""

    kind = "internal"


def reason(error: OSError) -> str:
    """The reason half of a message: strerror in lower case, e.g. `operation not permitted`."""
    text = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return text[:1].lower() + text[1:]
