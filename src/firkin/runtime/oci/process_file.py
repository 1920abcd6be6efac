"""A process on its own, as `exec --process` reads it."""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.oci import json_text
from firkin.oci.runtime_config import Process
from firkin.runtime.oci.record import read


def load(path: str) -> Process:
    """Raises `Invalid` naming the field that does not fit."""
    try:
        process = Process.from_dict(json_text.loads(read(path)))
    except Invalid as error:
        raise Invalid(f"read process {path}: {error.message}") from None
    if not process.args:
        raise Invalid(f"read process {path}: args: must not be empty")
    if not process.cwd.startswith("/"):
        raise Invalid(f"read process {path}: cwd: must be an absolute path, got {process.cwd!r}")
    return process
