"""Where a process's standard streams lead, and what else it keeps: by its configuration and the command's flags.

Detached, a process has the command's own streams, or a terminal whose master goes to a socket. In the foreground too, except
that a terminal of the host's is never handed in: pipes are put in between, or the process gets one of its own.
Source: runc utils_linux.go (checkTerminal, setupIO), sd_listen_fds(3).
"""

from __future__ import annotations

import _socket
import os

from firkin.errors import Invalid
from firkin.linux.fds import send_fds
from firkin.oci.runtime_config import ConsoleSize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Process
    from firkin.runtime.oci.context import Context

_NAMES = ("stdin", "stdout", "stderr")
_FIRST_OTHER = 3


class Streams:
    """`handed`: descriptors for the child by name; `stdio`: the names of those for 0, 1 and 2; `preserved`: how many from 3
    up it keeps; `relays`: (from, to) to copy while the process runs in the foreground."""

    def __init__(self, context: Context, terminal: bool, *, detach: bool) -> None:
        options = context.options
        self.console_socket = options.text("console-socket")
        if detach and terminal and not self.console_socket:
            raise Invalid("cannot allocate tty if firkin-oci will detach without setting console socket")
        if self.console_socket and not (detach and terminal):
            raise Invalid("cannot use console socket if firkin-oci will not detach or allocate tty")
        self._pidfd_socket = _connected(options.text("pidfd-socket"))
        self._listen = _listen_fds()
        self.preserved = self._listen + options.number("preserve-fds")
        self.handed: dict[str, int] = {}
        self.relays: list[tuple[int, int]] = []
        self._made: list[int] = []
        for fd in range(_FIRST_OTHER, _FIRST_OTHER + self.preserved):
            self._preserve(fd)
        self.stdio = ("null", "null", "null")
        if not terminal:
            inside, outside, errors = (self._stream(fd, detach) for fd in range(_FIRST_OTHER))
            self.stdio = (inside, outside, errors)

    def adapt(self, process: Process | None) -> Process | None:
        """`process`, told of the sockets that were handed to it, its terminal as large as the one it appears in."""
        if process and self._listen:
            process = process.replace(env=(*process.env, f"LISTEN_FDS={self._listen}", "LISTEN_PID=1"))
        own = next((fd for fd in (2, 1, 0) if os.isatty(fd)), -1)
        if process and process.terminal and not self.console_socket and not process.console_size and own >= 0:
            size = os.get_terminal_size(own)
            process = process.replace(console_size=ConsoleSize(height=size.lines, width=size.columns))
        return process

    def numbers(self) -> list[int]:
        """The descriptors for 0, 1 and 2, -1 where that is the null device."""
        return [self.handed.get(name, -1) for name in self.stdio]

    def close_handed(self) -> None:
        """The child has them now."""
        for fd in self._made:
            os.close(fd)
        self._made = []

    def send_console(self, master: int) -> None:
        """To who listens at the console socket, with a name as runc does; then it is theirs."""
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(self.console_socket)
            send_fds(connection, b"/dev/ptmx", [master])
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise Invalid(f"send the terminal to console socket {self.console_socket}: {reason}") from None
        finally:
            connection.close()
            os.close(master)

    def send_pidfd(self, kind: bytes, pidfd: int) -> None:
        """To who listens at the pidfd socket, if that was asked for. `kind`, which runc sends with it: "standard" for a
        container's first process, "setns" for others."""
        if self._pidfd_socket:
            send_fds(self._pidfd_socket, kind, [pidfd])
            self._pidfd_socket.close()

    def _preserve(self, fd: int) -> None:
        try:
            os.fstat(fd)
        except OSError:
            place = f"{fd - _FIRST_OTHER} (of {self.preserved})"
            raise Invalid(f"unable to stat preserved-fd {place}: no such file or directory") from None
        self.handed[f"preserved-{fd}"] = fd

    def _stream(self, fd: int, detach: bool) -> str:
        """The name of what the child gets for the command's own `fd`."""
        try:
            os.fstat(fd)
        except OSError:
            return "null"
        if not detach and os.isatty(fd):
            reading, writing = os.pipe2(os.O_CLOEXEC)
            theirs, relay = (reading, (0, writing)) if fd == 0 else (writing, (reading, fd))
            self.relays.append(relay)
            self._made.append(theirs)
        else:
            theirs = fd
        self.handed[_NAMES[fd]] = theirs
        return _NAMES[fd]


def _connected(path: str) -> _socket.socket | None:
    """Before there is a process: if nobody listens there, there will be none."""
    if not path:
        return None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError as error:
        raise Invalid(f"connect to pidfd socket {path}: {os.strerror(error.errno or 0).lower()}") from None
    return connection


def _listen_fds() -> int:
    count = os.environ.get("LISTEN_FDS", "")
    mine = os.environ.get("LISTEN_PID", "") in ("", str(os.getpid()))
    return int(count) if count.isdigit() and mine else 0
