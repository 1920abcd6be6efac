"""Errors as HTTP: the one place where a kind becomes a status.

Source: moby `daemon/server/httpstatus/status.go`; the body is `{"message": TEXT}` as dockerd's.
"""

from __future__ import annotations

import logging

from aiohttp import web

from firkin.api import answers
from firkin.errors import FirkinError, reason

STATUS = {
    "invalid": 400,
    "forbidden": 403,
    "not-found": 404,
    "conflict": 409,
    "not-modified": 304,
    "internal": 500,
    "not-implemented": 501,
    "unavailable": 503,
}

_log = logging.getLogger(__name__)


def describe(error: Exception) -> tuple[int, str]:
    """(status, message) for whatever a handler raised; what nobody foresaw is logged."""
    if isinstance(error, FirkinError):
        return STATUS[error.kind], error.message
    if isinstance(error, web.HTTPException):
        return error.status, error.text or error.reason
    if isinstance(error, OSError):
        return 500, f"{error.filename}: {reason(error)}" if error.filename else reason(error)
    _log.error("unforeseen failure of a request", exc_info=error)
    return 500, f"{type(error).__name__}: {error}"


def log_broken_off(path: str, error: Exception) -> None:
    """Tell the log what the client can no longer be told."""
    _log.error("answer to %s broken off: %s", path, describe(error)[1])


def reply(error: Exception) -> web.Response:
    return answers.error(*describe(error))
