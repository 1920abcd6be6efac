"""The process that stays outside a user's namespaces and does for them what can only be done there.

It makes the namespaces and has their ids mapped by newuidmap(1) and newgidmap(1), the only set-user-id programs in play;
keeps pasta or slirp4netns running; and makes the sockets of published ports, which then go to the `porter` inside. Started
by `enter`; it outlives daemons and ends with the porter's "finish". If it is killed, the next daemon starts another, which
finds porter and helper alive; or else the namespaces, as long as anybody is in them.

Messages of the porter: ("bind", count, protocol, ip, port), answered by ("made", count, errno) + socket; ("finish",).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import NoReturn

from firkin.errors import FirkinError, Unavailable, reason
from firkin.linux.process import set_child_subreaper
from firkin.rootless import inside, mapping, peers
from firkin.rootless.connection import Connection
from firkin.rootless.datagrams import tell_destination
from firkin.rootless.locks import hold
from firkin.rootless.porter import socket_path
from firkin.runtime import wire
from firkin.runtime.loop import Loop

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_BACKLOG = 4096
_TOO_SOON = 2.0  # seconds


class Outside:
    """`private`: descriptors that no child of this process may have."""

    def __init__(self, exec_root: str, private: list[int]) -> None:
        self._exec_root, self._private = exec_root, private
        self._loop = Loop()
        self._porter = 0
        self._connection = Connection(exec_root)
        self._namespaces: dict[str, int] = {}

    def begin(self) -> None:
        """Make everything, or find it. Raises OSError or FirkinError; nothing runs then that did not before."""
        set_child_subreaper()
        self._porter = peers.porter(self._exec_root)
        survivor = self._porter or peers.shepherd(self._exec_root)
        if survivor:
            self._namespaces = inside.open_namespaces(survivor)
            self._watch(self._introduced() if self._porter else self._porter_again())
            if not self._connection.pid:
                self._connection.start(self._porter)
        else:
            sock = self._make()
            self._namespaces = inside.open_namespaces(self._porter)
            try:
                self._connection.start(self._porter)
            except BaseException:
                os.kill(self._porter, signal.SIGKILL)
                raise
            self._watch(sock)
        self._watch_helper()
        self._loop.on_child(_bury)

    def run(self) -> NoReturn:
        while True:
            self._loop.turn()

    # --- the namespaces --------------------------------------------------------------------------------------------
    def _make(self) -> socket.socket:
        sock = self._fork_porter(inside.begin)
        _expect(sock, "made")
        try:
            mapping.write(self._porter)
            wire.send(sock, ("mapped",))
            _expect(sock, "ready")
        except BaseException:
            sock.close()  # tells it to end
            raise
        return sock

    def _porter_again(self) -> socket.socket:
        """A connection with a new porter in the namespaces that there are."""
        sock = self._fork_porter(inside.begin_again, self._namespaces)
        _expect(sock, "ready")
        return sock

    def _fork_porter(self, work: object, *arguments: object) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._porter = os.fork()
        if not self._porter:
            ours.close()
            wire.close_all(self._private)
            try:
                work(self._exec_root, theirs, *arguments)  # type: ignore[operator]
            finally:
                os._exit(1)
        theirs.close()
        return ours

    def _introduced(self) -> socket.socket:
        """A connection with a porter that has lost its former one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(socket_path(self._exec_root))
            wire.receive(sock)  # its greeting
            wire.send(sock, ("outside", 0), [theirs.fileno()])
            wire.receive(sock)
        theirs.close()
        return ours

    # --- service ---------------------------------------------------------------------------------------------------
    def _watch(self, sock: socket.socket) -> None:
        wire.Connection(self._loop, sock, self._on_message, self._lost)

    def _on_message(self, porter: wire.Connection, fds: list[int], kind: str, *arguments: object) -> None:
        if kind == "finish":
            self._finish()
        count, protocol, ip, port = arguments
        try:
            sock = listening(str(protocol), str(ip), int(str(port)))
        except OSError as error:
            porter.send(("made", count, error.errno))
            return
        porter.send(("made", count, 0), [sock.fileno()])
        sock.close()

    def _lost(self, porter: wire.Connection) -> None:
        """The porter died: another takes its place in the namespaces, which live as long as our descriptors of them."""
        if not peers.porter(self._exec_root):  # otherwise another `outside` has introduced itself
            self._watch(self._porter_again())

    def _watch_helper(self) -> None:
        if self._connection.pid:
            pidfd = os.pidfd_open(self._connection.pid)
            self._loop.add(pidfd, lambda events: self._helper_ended(pidfd))

    def _helper_ended(self, pidfd: int) -> None:
        """Replace it; but one that ended at once will not be mended by yet another."""
        self._loop.remove(pidfd)
        os.close(pidfd)
        print("rootless: the network helper ended", file=sys.stderr, flush=True)
        if time.monotonic() < self._connection.since + _TOO_SOON:
            return
        try:
            self._connection.start(self._porter)
            self._watch_helper()
        except (FirkinError, OSError, subprocess.SubprocessError) as error:
            print(f"rootless: {error}", file=sys.stderr, flush=True)

    def _finish(self) -> NoReturn:
        self._connection.stop()
        os._exit(0)


def listening(protocol: str, ip: str, port: int) -> socket.socket:
    """A socket of a published port; raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, _KINDS[protocol])
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            tell_destination(sock)
        sock.bind((ip, port))
        if protocol == "tcp":
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _expect(sock: socket.socket, kind: str) -> None:
    """Await this message; raises `Unavailable` with what came instead."""
    try:
        message = wire.receive(sock)[0]
    except EOFError:
        raise Unavailable("make namespaces: the process ended; see rootless.log") from None
    if message[0] != kind:
        raise Unavailable(str(message[1]))


def _bury() -> None:
    """Children that ended: they are waited for by their descriptors."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main() -> None:
    """In the background; the calling process ends when all is ready (0) or nothing is (1, and it says why)."""
    exec_root = sys.argv[1]
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        said = b"".join(iter(lambda: os.read(read, 4096), b"")).decode()
        print(said.removesuffix("ready"), end="", file=sys.stderr, flush=True)
        os._exit(0 if said == "ready" else 1)
    os.close(read)
    os.setsid()
    os.chdir("/")
    log = os.open(os.path.join(exec_root, "rootless.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 2)
    try:
        private = [write]
        outside = Outside(exec_root, private)
        outside.begin()
        private[:] = [hold(exec_root, "outside")]
    except (OSError, FirkinError, subprocess.SubprocessError) as error:
        os.write(write, (error.message if isinstance(error, FirkinError) else reason_of(error)).encode())
        os._exit(1)
    os.write(write, b"ready")
    os.close(write)
    outside.run()


def reason_of(error: Exception) -> str:
    return f"{error.filename or 'rootless'}: {reason(error)}" if isinstance(error, OSError) else str(error)
