"""Failures to start a process, in Docker's words, with Docker's exit codes.

The child reports (step, errno, detail); here that becomes an error whose text names the step. Clients tell 126 and 127
apart by the text ("executable file not found", "no such file or directory", "permission denied"), so it is kept.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from firkin.errors import FirkinError, Internal, Invalid
from firkin.runtime.client import SpawnFailed
from firkin.runtime.describe import describe

_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR)
_NOT_EXECUTABLE = (errno.EACCES, errno.EISDIR, errno.ENOEXEC, errno.EPERM)
# Steps that fail because of what the client asked for, not because of the machine.
_CLIENTS = ("exec", "user", "cwd", "bind", "sysctl", "rlimit")


def _step(error: SpawnFailed, plan: dict[str, Any]) -> tuple[Any, ...] | None:
    steps = plan.get(error.where, ())
    return steps[error.index] if 0 <= error.index < len(steps) else None


def exit_code(error: SpawnFailed, plan: dict[str, Any], otherwise: int = 128) -> int:
    """127 for a program that is not there, 126 for one that cannot be run; `otherwise` is 126 for an exec, too."""
    step = _step(error, plan)
    if step and step[0] == "exec":
        return 127 if error.errno in _NOT_FOUND else 126 if error.errno in _NOT_EXECUTABLE else otherwise
    return otherwise


def _text(error: SpawnFailed, plan: dict[str, Any]) -> str:
    step = _step(error, plan)
    if step and step[0] in ("exec", "user") and error.detail:
        return error.detail
    what = os.strerror(error.errno).lower() if error.errno else ""
    why = ": ".join(filter(None, (error.detail, what))) or "helper process failed"
    return f"{describe(step) if step else error.where}: {why}"


def _kind(error: SpawnFailed, plan: dict[str, Any]) -> type[FirkinError]:
    step = _step(error, plan)
    return Invalid if step and step[0] in _CLIENTS else Internal


def start_error(error: SpawnFailed, plan: dict[str, Any]) -> FirkinError:
    """For `POST /containers/{id}/start`."""
    return _kind(error, plan)(f"failed to create task for container: unable to start container process: {_text(error, plan)}")


def exec_error(error: SpawnFailed, plan: dict[str, Any]) -> FirkinError:
    """For `POST /exec/{id}/start`."""
    return _kind(error, plan)(f"OCI runtime exec failed: exec failed: unable to start container process: {_text(error, plan)}")


def job_error(error: SpawnFailed, plan: dict[str, Any]) -> FirkinError:
    """For work in a running container's namespaces."""
    return _kind(error, plan)(_text(error, plan))
