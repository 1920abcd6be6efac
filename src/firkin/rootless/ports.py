"""The daemon's side of the porter: published ports on the host, which is outside the daemon's own network.

Synchronous, for an answer takes well under a millisecond. What is open survives the daemon, and is opened again should the
porter have died.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
from itertools import count

from firkin.errors import Unavailable
from firkin.network.model import Forward
from firkin.rootless.porter import socket_path
from firkin.runtime import wire

_PATIENCE = 10.0  # seconds
_PAUSE = 0.05


class HostPorts:
    """Ports of the host, by way of the porter. Implements `network.ports.Elsewhere`."""

    def __init__(self, exec_root: str) -> None:
        self._path = socket_path(exec_root)
        self._numbers = count(1)
        self._open: dict[tuple[str, str, int], Forward] = {}
        self._sock = self._connect()

    def open(self, forward: Forward) -> None:
        """Raises OSError when the port cannot be had, saying why."""
        failed = self._ask("open", forward.protocol, forward.host_ip, forward.host_port, forward.ip, forward.port)
        if failed == errno.EACCES and forward.host_port < 1024:
            name = "net.ipv4.ip_unprivileged_port_start"
            raise OSError(failed, f"root's alone; `sudo sysctl {name}={forward.host_port}` gives it to everybody")
        if failed == errno.ECONNREFUSED:
            raise OSError(failed, "the process outside the namespaces was killed; restart the daemon")
        if failed:
            raise OSError(failed, os.strerror(failed))
        self._open[_key(forward)] = forward

    def close(self, forward: Forward) -> None:
        self._open.pop(_key(forward), None)
        with contextlib.suppress(Unavailable):  # then nobody has it open
            self._ask("close", *_key(forward))

    def keep_only_open(self) -> None:
        """Close what an earlier daemon had open and this one has not opened again."""
        self._ask("keep", list(self._open))

    def finish(self) -> None:
        """No more ports, no more namespaces: once the daemon has ended, nothing of them is left."""
        self._forget()
        with contextlib.suppress(Unavailable):
            self._ask("shutdown")

    # --- the connection --------------------------------------------------------------------------------------------
    def _ask(self, kind: str, *arguments: object) -> int:
        number = next(self._numbers)
        try:
            wire.send(self._sock, (kind, number, *arguments))
            while True:
                message, fds = wire.receive(self._sock)
                wire.close_all(fds)
                if message[:2] == ("reply", number):
                    return int(str(message[2]))
        except (OSError, EOFError):
            raise Unavailable("ask the porter: it does not answer") from None

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(_PATIENCE)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise Unavailable(f"connect to the porter at {self._path}: nobody answers") from None
        wire.receive(sock)  # its greeting
        asyncio.get_running_loop().add_reader(sock, self._readable)
        return sock

    def _readable(self) -> None:
        """At its end, when another is about to take its place (or a question has just had its answer)."""
        if not select.select([self._sock], [], [], 0)[0]:
            return
        try:
            wire.receive(self._sock)
        except (OSError, EOFError):
            self._forget()
            asyncio.get_running_loop().call_later(_PAUSE, self._again)

    def _forget(self) -> None:
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)

    def _again(self) -> None:
        try:
            self._sock.close()
            self._sock = self._connect()
            for forward in list(self._open.values()):
                self.open(forward)
        except (OSError, Unavailable):
            asyncio.get_running_loop().call_later(_PAUSE, self._again)


def _key(forward: Forward) -> tuple[str, str, int]:
    return forward.protocol, forward.host_ip, forward.host_port
