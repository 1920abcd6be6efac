"""How a command ends badly, and where that is told.

Source: runc utils.go (`fatal`), logrus' text and JSON formats: containerd and podman read the log file's last error.
"""

from __future__ import annotations

import os
import sys
import time

from firkin.errors import FirkinError
from firkin.oci import json_text


class Usage(FirkinError):
    """The command line itself is wrong."""

    kind = "invalid"


class Log:
    """`path` "" is standard error; `json` the format. OSError for a file that cannot be written to."""

    def __init__(self, path: str = "", json: bool = False, debug: bool = False) -> None:
        self._path, self._json, self.debugging = path, json, debug
        if path:
            os.close(self._open())

    def warn(self, message: str) -> None:
        self._write("warning", message)

    def error(self, message: str) -> None:
        """In the log, and for whoever called."""
        self._write("error", message)
        if self._path:
            print(message, file=sys.stderr)

    def _write(self, level: str, message: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._json:
            line = json_text.dumps({"level": level, "msg": message, "time": now})
        else:
            line = f'time="{now}" level={level} msg={json_text.dumps(message)}'
        data = (line + "\n").encode("utf-8", "surrogateescape")
        try:
            fd = self._open() if self._path else 2
            os.write(fd, data)
            if self._path:
                os.close(fd)
        except OSError:  # nobody listens
            pass

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def told(error: Exception) -> str:
    """An error as one line: a system call's names what it was about."""
    if isinstance(error, FirkinError):
        return error.message
    if isinstance(error, OSError) and error.errno:
        reason = (error.strerror or os.strerror(error.errno)).lower()
        return f"{error.filename}: {reason}" if error.filename else reason
    return f"{type(error).__name__}: {error}"
