"""An agent as `linux.seccomp.listenerPath` names one: it is handed listeners, and answers what they ask."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any


class Agent:
    """Answers every call it is asked about with EUCLEAN; `reports` and `calls` are what it has heard."""

    def __init__(self, path: Path) -> None:
        self.reports: list[dict[str, Any]] = []
        self.calls: list[int] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                data, (listener,), _, _ = socket.recv_fds(connection, 65536, 4)
                self.reports.append(json.loads(data))
            threading.Thread(target=self._decide, args=(listener,), daemon=True).start()

    def _decide(self, listener: int) -> None:
        receive, send = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
        try:
            while True:
                question = bytearray(80)
                fcntl.ioctl(listener, receive, question)
                number, _, _, call = struct.unpack_from("=QIIi", question)
                self.calls.append(call)
                fcntl.ioctl(listener, send, struct.pack("=QqiI", number, 0, -errno.EUCLEAN, 0))
        except OSError:  # ENOENT: nobody is left to ask
            os.close(listener)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
