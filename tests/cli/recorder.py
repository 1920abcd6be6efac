"""A daemon that only listens: it records requests and answers just enough for `run` and `exec` to end well."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from typing import Any

from tests.lab import FIRKIN

CONTAINER = "c" * 64


class Recorder:
    """Listens on `sock`; `requests` is what came: (method, path with query, decoded body)."""

    def __init__(self) -> None:
        self.dir = tempfile.mkdtemp(prefix="firkin-recorder-")
        self.sock = os.path.join(self.dir, "sock")
        self.requests: list[tuple[str, str, Any]] = []
        self.output = b"\1\0\0\0\0\0\0\3hi\n"
        self._started = threading.Event()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.sock)
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": self.dir, "DOCKER_HOST": "unix://" + self.sock, "DOCKER_CONFIG": self.dir}

    def run(self, program: str, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([program, *argv], env=self.env, capture_output=True, text=True, timeout=20, **options)

    def firkin(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run(FIRKIN, *argv, **options)

    def body(self, path: str) -> Any:
        """The body of the last request whose path ends so."""
        return next(body for _, target, body in reversed(self.requests) if target.split("?")[0].endswith(path))

    def close(self) -> None:
        self._server.close()
        shutil.rmtree(self.dir)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers = dict(self._headers(stream))
                body = stream.read(int(headers.get("content-length", 0)))
                self.requests.append((method, target, json.loads(body) if body else None))
                try:
                    self._answer(connection, method, target)
                except OSError:
                    return

    @staticmethod
    def _headers(stream: Any) -> Any:
        while (line := stream.readline().strip()) and b":" in line:
            name, _, value = line.decode().partition(":")
            yield name.lower(), value.strip()

    def _answer(self, connection: socket.socket, method: str, target: str) -> None:
        path = target.split("?")[0]
        if path.endswith("/attach") or (path.endswith("/start") and "/exec/" in path):
            connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.44\r\n\r\n")
            if path.endswith("/attach"):
                self._started.wait(10)
            connection.sendall(self.output)
            connection.shutdown(socket.SHUT_RDWR)
        elif path.endswith("/wait"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nApi-Version: 1.44\r\n\r\n")
            self._started.wait(10)
            connection.sendall(b'10\r\n{"StatusCode":0}\r\n0\r\n\r\n')
        elif path.endswith("/create"):
            self._started.clear()
            self._reply(connection, method, {"Id": CONTAINER, "Warnings": []}, "201 Created")
        elif path.endswith("/start"):
            self._reply(connection, method, None, "204 No Content")
            self._started.set()
        elif path.endswith("/json") and "/exec/" not in path:
            self._reply(connection, method, {"Id": CONTAINER, "Config": {"Tty": False}, "State": {"Running": True}})
        else:
            self._reply(connection, method, {"Id": CONTAINER, "ExitCode": 0, "Running": False})

    @staticmethod
    def _reply(connection: socket.socket, method: str, value: Any, status: str = "200 OK") -> None:
        body = b"" if value is None else json.dumps(value).encode()
        head = f"HTTP/1.1 {status}\r\nApi-Version: 1.44\r\nOstype: linux\r\nContent-Type: application/json\r\n"
        length = "" if value is None else f"Content-Length: {len(body)}\r\n"
        connection.sendall((head + length + "\r\n").encode() + (b"" if method == "HEAD" else body))
