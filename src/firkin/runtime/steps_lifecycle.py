"""Steps of a plan that keep a child in step with the life cycle's commands, and the hooks it runs itself.

The invariant: whoever should let the child go on has died when its socket ends, and then the child ends too, unless it
has been announced as created; from then on it waits for anybody who may connect to its gate.
Source: runtime-spec runtime.md "Lifecycle", unix(7).
"""

from __future__ import annotations

import _socket
import errno
import os

from firkin.runtime import hook, sealed
from firkin.runtime.state import State


def wait_group(state: State, hold: str) -> None:
    """Until whoever makes the group has put this process into it."""
    if not os.read(state.handed[hold], 1):
        os._exit(1)


def wait_hooks(state: State) -> None:
    """Until the hooks outside have been run."""
    state.send("hooks", [])
    if not state.status.recv(1):
        os._exit(1)


def wait_start(state: State, gate: str) -> None:
    """Announce that everything is ready, then wait at the listening socket `gate` for the one who starts the program. From
    then on that one is told what goes wrong; end of file tells it that the program runs."""
    listener = _socket.socket(fileno=state.handed[gate])
    state.send("start", [])
    fd, _ = listener._accept()  # type: ignore[attr-defined]
    os.dup2(fd, state.status.fileno(), inheritable=False)
    os.close(fd)
    listener.close()


def run_hook(
    state: State, kind: str, path: str, argv: list[str], environment: list[str], timeout: int, before: str, after: str
) -> None:
    # A createContainer hook is a program of the host's; this one's file is the container's to choose.
    if kind == "startContainer" and sealed.lends_own_program(path.encode()):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), f"{kind} hook {path}: this is the runtime's own program")
    try:
        hook.run(path, argv, environment, timeout, f"{before}{os.getpid()}{after}")
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{kind} hook {path}: {error.filename}") from None


def find_program(state: State, program: str, path: str) -> None:
    """Find fault with a program's name while that can still be told to whoever creates the container."""
    if "/" in program:
        number = _fault(program)
    else:
        faults = [_fault(directory.rstrip("/") + "/" + program) for directory in path.split(":") if directory]
        if 0 in faults:
            return
        if errno.EACCES not in faults:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), f'exec: "{program}": executable file not found in $PATH')
        number = errno.EACCES
    if number:
        what = f"stat {program}: " if number in (errno.ENOENT, errno.ENOTDIR) else ""
        raise OSError(number, os.strerror(number), f'exec: "{program}": {what}{os.strerror(number).lower()}')


def _fault(path: str) -> int:
    """Why it is no program: an errno, or 0."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno or errno.ENOENT
    if mode & 0o170000 == 0o040000:
        return errno.EISDIR
    return 0 if mode & 0o111 else errno.EACCES


STEPS = {
    "wait-group": wait_group,
    "wait-hooks": wait_hooks,
    "wait-start": wait_start,
    "hook": run_hook,
    "find-program": find_program,
}
