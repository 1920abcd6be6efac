"""Running one hook to its end: a program that gets the container's state on standard input.

The invariant: when `run` returns, the program has ended well; when it raises, it has ended too. Standard input and output are
files in memory, so that a hook that reads or writes any amount, or nothing, cannot block its runtime.
Source: runtime-spec config.md "POSIX-platform Hooks", posix_spawn(3), memfd_create(2).
"""

from __future__ import annotations

import errno
import os
import select

_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25
_MOST_OUTPUT = 2048  # bytes of it that an error quotes


def run(path: str, argv: list[str], environment: list[str], timeout: int, state: str) -> None:
    """`timeout` in seconds, 0 for none. OSError says how it failed, with the end of what it printed."""
    variables = dict(entry.partition("=")[::2] for entry in environment)
    given, output = _memory(state.encode()), _memory(b"")
    actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    umask = os.umask(0o022)
    try:
        try:
            pid = os.posix_spawn(path, argv, variables, file_actions=actions, setsigdef=(_SIGPIPE, _SIGXFSZ))
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"exec {path}: {_lower(error.errno)}") from None
        ended = _wait(pid, timeout)
        if not ended:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), f"hook ran past specified timeout of {timeout} s")
        if code := os.waitstatus_to_exitcode(ended[0]):
            how = f"exit status {code}" if code > 0 else f"signal {-code}"
            raise OSError(errno.ECHILD, "hook failed", f"{how}, output: {_tail(output)}")
    finally:
        os.umask(umask)
        os.close(given)
        os.close(output)


def _memory(content: bytes) -> int:
    fd = os.memfd_create("hook", os.MFD_CLOEXEC)
    if content:
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _wait(pid: int, timeout: int) -> tuple[int, ...]:
    """(wait status,), or () when it took longer and was killed."""
    if timeout:
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = poll.poll(timeout * 1000)
        os.close(pidfd)
        if not in_time:
            os.kill(pid, _SIGKILL)
            os.waitpid(pid, 0)
            return ()
    return (os.waitpid(pid, 0)[1],)


def _tail(output: int) -> str:
    size = os.fstat(output).st_size
    return os.pread(output, _MOST_OUTPUT, max(0, size - _MOST_OUTPUT)).decode("utf-8", "replace").strip()


def _lower(number: int | None) -> str:
    return os.strerror(number or 0).lower()
