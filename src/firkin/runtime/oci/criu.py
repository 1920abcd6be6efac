"""A run of CRIU as a servant: `criu swrk`, which is told by messages on a socket what to do, and tells what it has come to.

The invariant: when `ask` returns or raises, CRIU has ended, and with an error nothing is left of what it had begun. Its
reason is the last errors of its log. Source: criu.org/RPC, criu(8), runc libcontainer/criu_linux.go.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select

from firkin.errors import Internal, Unsupported
from firkin.linux import fds
from firkin.runtime.oci import criu_wire
from firkin.runtime.oci.criu_options import VERBS
from firkin.runtime.oci.record import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.criu_options import Work

    Told = Callable[[str, int, list[int]], None]  # what has been reached, a pid with some of it, descriptors

_SOCKET, FIRST_HANDED = 3, 4  # CRIU's numbers for its socket and what it is handed
_OUT_OF_THE_WAY = 64
_LONGEST_ANSWER = 1 << 16
_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25
_TAIL, _MOST_ERRORS = 1 << 16, 3


class Criu:
    """One that has been started for one request. `handed`: its 0, 1 and 2, -1 being the null device, and from `FIRST_HANDED`
    on whatever the request speaks of. Raises `Unsupported` if there is no CRIU."""

    def __init__(self, context: Context, verb: int, work: Work, handed: Sequence[int] = (-1, -1, 2)) -> None:
        self._verb, self._work = verb, work
        work.clear()
        self._before = _children()
        # Here, so that they are of the mount namespace that it lives in: it mounts inside of its working directory.
        self._opened = [os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (work.images, work.place)]
        self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        try:
            numbers = [*handed[:_SOCKET], theirs.fileno(), *handed[_SOCKET:]]
            self._pid = _spawn(context.criu, VERBS[verb], numbers)
        finally:
            theirs.close()

    def ask(self, options: dict[str, Any], told: Told) -> None:
        """Until it has done it and ended. Raises `Internal` with its reason if it could not, and whatever `told` raises."""
        places = {"images_dir_fd": self._opened[0], "work_dir_fd": self._opened[1], "log_file": self._work.log}
        try:
            answer = self._converse({"type": self._verb, "opts": {**options, **places}}, told)
            if not answer.get("success"):
                raise Internal(f"criu {VERBS[self._verb]} failed: {_reason(self._work, answer)}")
        except BaseException:
            self._end()
            _kill(_children() - self._before)
            raise
        self._end()

    def has(self, feature: str) -> bool:
        """Whether it can do this on this kernel ("mem_track", "lazy_pages"). Asked instead of anything else."""
        try:
            answer = self._converse({"type": criu_wire.FEATURE_CHECK, "features": {feature: True}}, lambda *_: None)
        finally:
            self._end()
        return bool(answer.get("features", {}).get(feature))

    def _converse(self, request: dict[str, Any], told: Told) -> dict[str, Any]:
        """The answer. On the way, it waits at each point that it reaches for leave to go on."""
        self._socket.send(criu_wire.encode(criu_wire.REQUEST, request))
        while True:
            message, descriptors = self._receive()
            if not message:
                return {}
            answer = criu_wire.decode(criu_wire.RESPONSE, message)
            if answer.get("type") != criu_wire.NOTIFY:
                return answer
            reached = answer.get("notify", {})
            told(reached.get("script", ""), reached.get("pid", 0), descriptors)
            self._socket.send(criu_wire.encode(criu_wire.REQUEST, {"type": criu_wire.NOTIFY, "notify_success": True}))

    def _receive(self) -> tuple[bytes, list[int]]:
        """The next message, (b"", []) when it has ended: what it restores has a copy of its socket, so that this one alone
        does not tell."""
        pidfd = os.pidfd_open(self._pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self._socket, select.POLLIN)
        try:
            ready = dict(poll.poll())
            return fds.recv_fds(self._socket, _LONGEST_ANSWER) if self._socket.fileno() in ready else (b"", [])
        except ConnectionResetError:
            return b"", []
        finally:
            os.close(pidfd)

    def _end(self) -> None:
        """Whatever it was at, it takes back what it had begun. After a pre-dump it would wait for more."""
        self._socket.close()
        for fd in self._opened:
            os.close(fd)
        os.waitpid(self._pid, 0)


def _spawn(program: str, verb: str, wanted: list[int]) -> int:
    """`wanted[n]` becomes descriptor n."""
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) if fd >= 0 else -1 for fd in wanted]
    actions: list[Any] = [
        (os.POSIX_SPAWN_DUP2, fd, number) if fd >= 0 else (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0)
        for number, fd in enumerate(aside)
    ]
    argv = [program, "swrk", str(_SOCKET)]
    try:
        return os.posix_spawnp(program, argv, os.environ, file_actions=actions, setsigdef=(_SIGPIPE, _SIGXFSZ))
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Unsupported(f"{verb} needs CRIU: exec {program}: {reason}; apt-get install criu") from None
    finally:
        for fd in aside:
            if fd >= 0:
                os.close(fd)


def _reason(work: Work, answer: dict[str, Any]) -> str:
    """The last errors of its log, and where that is."""
    path = f"{work.place}/{work.log}"
    try:
        lines = read(path)[-_TAIL:].decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    errors = [line.partition("Error ")[2] for line in lines if "Error (" in line][-_MOST_ERRORS:]
    said = "; ".join(errors) or answer.get("cr_errmsg", "").strip() or "it does not say why"
    return f"{said} (see {path})"


def _children() -> set[int]:
    """Of this process, which has one thread."""
    return {int(word) for word in read("/proc/thread-self/children").split()}


def _kill(pids: set[int]) -> None:
    """The first process that it had restored, with which all others go: it has killed that itself, unless it was killed."""
    for pid in pids:
        try:
            os.kill(pid, _SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
