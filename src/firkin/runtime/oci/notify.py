"""$NOTIFY_SOCKET: the program in a container tells systemd that it is ready, as any other service's does.

It has a socket of its own, in a directory of the container's record that is mounted read-only at /run/notify. Who starts it
listens there, and tells systemd itself, together with the pid to watch. The invariant: of what a container says, only that it
is ready is passed on, once, in our own words. Source: sd_notify(3), sd_notify_barrier(3), runc notify_socket.go.
"""

from __future__ import annotations

import os
import select

from firkin.linux import sockets as socket
from firkin.linux.fds import send_fds
from firkin.oci.runtime_config import Mount
from firkin.runtime.oci.failure import told
from firkin.runtime.oci.record import NOTIFY, NOTIFY_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.failure import Log
    from firkin.runtime.oci.record import Directory

_INSIDE = "/run/notify"
_OPTIONS = ("bind", "nosuid", "noexec", "nodev", "ro")
_READY = b"READY=1"
_LONGEST = 4096
_BARRIER = 30_000  # ms


def mounted(config: Config, directory: Directory) -> Config:
    """With the socket's directory among its mounts."""
    return config.replace(mounts=(*config.mounts, Mount(_INSIDE, "bind", directory.file(NOTIFY), _OPTIONS)))


def provide(config: Config, directory: Directory) -> Config:
    """Make the directory; with it among the mounts, and its place in the environment. The socket is there from the start on."""
    os.mkdir(directory.file(NOTIFY), 0o755)
    process = config.process and config.process.replace(env=(*config.process.env, f"NOTIFY_SOCKET={_INSIDE}/{NOTIFY_SOCKET}"))
    return mounted(config, directory).replace(process=process)


def try_to_listen(directory: Directory, log: Log) -> Notices | None:
    """A container that is run does without, as with runc, if nobody is there to be told."""
    try:
        return Notices(directory, log)
    except OSError as error:
        log.warn(f"NOTIFY_SOCKET: {told(error)}")
        return None


class Notices:
    """What the container says at its socket. Make it before the program runs. OSError if nobody listens at systemd's."""

    def __init__(self, directory: Directory, log: Log) -> None:
        self._log, self._done = log, False
        self._host = _connected(os.environ["NOTIFY_SOCKET"])
        self._own = _bound(directory.file(NOTIFY))

    def fileno(self) -> int:
        return self._own.fileno()

    def pass_on(self, pid: int) -> None:
        """Take one notice, and tell systemd if it is the first that says ready, and that it is `pid` that it is to watch."""
        notice = self._own.recv(_LONGEST)  # descriptors that came with it are closed by the kernel
        if _READY not in notice.split(b"\n") or self._done:
            return
        self._done = True
        try:
            self._host.send(_READY + b"\n")
            self._host.send(b"MAINPID=%d\n" % pid)
        except OSError as error:
            self._log.warn(f"NOTIFY_SOCKET: {told(error)}")

    def await_ready(self, pid: int, pidfd: int) -> None:
        """Until it is, or has ended, or systemd has gone away. Not before systemd has taken note: it asks the kernel who is
        speaking, and that is over with this command."""
        poll = select.poll()
        for fd in (self.fileno(), pidfd):
            poll.register(fd, select.POLLIN)
        while not self._done:
            if self.fileno() in (ready := dict(poll.poll())):
                self.pass_on(pid)
            elif pidfd in ready:
                return
        self._await_systemd()

    def _await_systemd(self) -> None:
        """It closes what it is sent when it comes to it."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            send_fds(self._host, b"BARRIER=1", [writing])
        except OSError:  # it has gone away, which has been told
            return
        finally:
            os.close(writing)
        poll = select.poll()
        poll.register(reading, 0)
        if not poll.poll(_BARRIER):
            self._log.warn("NOTIFY_SOCKET: nobody there has taken note within 30s")


def _connected(address: str) -> socket.socket:
    """With systemd's, "@" being how an abstract one is written."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        found.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        raise OSError(error.errno, error.strerror, address) from None
    return found


def _bound(directory: str) -> socket.socket:
    """Bound through a short name: a socket's address has at most 107 bytes. Any user of the container's may speak."""
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(f"/proc/self/fd/{parent}/{NOTIFY_SOCKET}")
    os.chmod(NOTIFY_SOCKET, 0o777, dir_fd=parent)
    os.close(parent)
    return found
