"""Where the daemon listens: `unix://PATH`, `tcp://HOST:PORT` (TLS with client certificates only) and systemd's `fd://`.

Source: dockerd(8), `--host`; sd_listen_fds(3).
"""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import ssl

from firkin.api.routes import ROUTES
from firkin.api.server import Application, Server
from firkin.api.tls import TlsServer
from firkin.engine.engine import Engine
from firkin.errors import Internal, Invalid, reason

_BACKLOG = 1024
_FIRST_FD = 3  # SD_LISTEN_FDS_START


class Serving:
    """The listeners of one daemon and the connections they have accepted."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listeners: list[asyncio.Server] = []
        self._paths: list[tuple[str, int]] = []  # of unix sockets, with their inodes

    async def listen(self, host: str, group: str, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        scheme, _, address = host.partition("://")
        if scheme == "unix":
            sock = bind_unix(address, group)
            self._paths.append((address, os.stat(address).st_ino))
            self._listeners.append(await loop.create_unix_server(self._server, sock=sock, backlog=_BACKLOG))
        elif scheme == "fd":
            for sock in inherited_sockets():
                self._listeners.append(await loop.create_unix_server(self._server, sock=sock, backlog=_BACKLOG))
        elif scheme == "tcp":
            self._listeners.append(await self._listen_tcp(address, tls))
        else:
            raise Invalid(f"listen on {host}: want unix://PATH, tcp://HOST:PORT or fd://")

    async def _listen_tcp(self, address: str, tls: ssl.SSLContext | None) -> asyncio.Server:
        if tls is None:
            raise Invalid(f"listen on tcp://{address}: without TLS client certificates anyone who can connect would be root")
        name, _, port = address.rpartition(":")
        if not name or not port.isdecimal():
            raise Invalid(f"listen on tcp://{address}: want HOST:PORT")
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(TlsServer(tls, self._server), name.strip("[]"), int(port), backlog=_BACKLOG)
        except OSError as error:
            raise _failure(f"tcp://{address}", error) from None

    @property
    def sockets(self) -> list[socket.socket]:
        return [sock for listener in self._listeners for sock in listener.sockets]

    async def close(self, patience: float = 1.0) -> None:
        """Accept no more, let requests under way end for `patience` seconds, then cut them off."""
        for listener in self._listeners:
            listener.close()
        for path, inode in self._paths:
            _unlink(path, inode)
        self._server.pre_shutdown()
        await self._server.shutdown(patience)


async def serve(engine: Engine, hosts: list[str], *, group: str = "", tls: ssl.SSLContext | None = None) -> Serving:
    """Answer the API on every one of `hosts`; on failure none of them is left open. `group` may use the unix sockets."""
    serving = Serving(Server(Application(engine, ROUTES)))
    try:
        for host in hosts:
            await serving.listen(host, group, tls)
    except BaseException:
        await serving.close(0)
        raise
    return serving


def bind_unix(path: str, group: str) -> socket.socket:
    """A socket at `path`, mode 0660, in place of one left behind; nobody can connect before its mode is set."""
    sock = socket.socket(socket.AF_UNIX)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        sock.bind(temporary)
        os.chmod(temporary, 0o660)
        if gid := _group_id(group):
            os.chown(temporary, -1, gid)
        os.rename(temporary, path)
    except OSError as error:
        sock.close()
        raise _failure(f"unix://{path}", error) from None
    return sock


def _group_id(name: str) -> int | None:
    """None when there is no such group: then the socket is root's alone, as with dockerd's default `docker`."""
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except KeyError:
        return None


def inherited_sockets() -> list[socket.socket]:
    """What systemd has opened for us."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise Invalid("listen on fd://: no sockets were passed by systemd")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=fd) for fd in range(_FIRST_FD, _FIRST_FD + count)]


def _unlink(path: str, inode: int) -> None:
    """Remove our socket, unless another daemon has put its own in its place since."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass


def _failure(host: str, error: OSError) -> Internal:
    return Internal(f"listen on {host}: {reason(error)}")
