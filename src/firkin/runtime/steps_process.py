"""Steps of a plan that set a child's limits and surroundings; and the last one, which turns it into its program.

Source: execve(2), setrlimit(2), proc(5), personality(2), runtime-spec config.md "Process".
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fds, fs, process
from firkin.runtime import last_words, sealed
from firkin.runtime.state import State

_NOT_HERE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


def dumpable(state: State, on: int) -> None:
    process.set_dumpable(bool(on))


def rlimit(state: State, resource: int, soft: int, hard: int, strict: bool = False) -> None:
    """A hard limit that may not be raised stays as it is, unless `strict`."""
    try:
        process.set_rlimit(resource, soft, hard)
    except PermissionError:
        if strict:
            raise
        _, most = process.get_rlimit(resource)
        hard = min(hard & process.RLIM_INFINITY, most)
        process.set_rlimit(resource, min(soft & process.RLIM_INFINITY, hard), hard)


def rlimit_ceiling(state: State, resource: int, hard: int) -> None:
    """While this process still has the machine's privileges: from inside a user namespace nothing can be raised."""
    process.raise_hard_limit(0, resource, hard)


def oom_score_adj(state: State, score: int, strict: bool = False) -> None:
    """Lowering it may be forbidden; the container runs all the same, unless `strict`."""
    try:
        state.write_proc("self/oom_score_adj", str(score))
    except PermissionError:
        if strict:
            raise


def umask(state: State, mask: int) -> None:
    """For the program. Until here or `close-fds` it is 0, so that files are made with the modes the plan says."""
    state.umask = mask
    os.umask(mask)


def personality(state: State, persona: int) -> None:
    process.set_personality(persona)


def cwd(state: State, path: str, create: bool) -> None:
    """Never outside the root, whatever links (or descriptors in /proc) the path goes through (CVE-2024-21626)."""
    directory = fs.make_in_root(state.root, path, "dir") if create else fs.in_root(state.root, path)
    os.fchdir(directory)
    os.close(directory)


def close_fds(state: State, first: int = 3) -> None:
    """Nothing but the standard streams, and what else lies below `first`, is left to the program, nor to a path through
    /proc/self/fd on the way to it. What the child itself still needs closes when the program is executed."""
    own = [state.status.fileno(), *([state.handed["gate"]] if "gate" in state.handed else [])]
    fds.close_all_but([*range(3, first), *own])
    os.umask(state.umask)  # nor is a file made any more


def prepare_last_words(state: State, program: str) -> None:
    """Before a filter that may forbid to say how execve(2) went."""
    fd = last_words.prepare()
    state.send((last_words.ANNOUNCED, f"exec {program}"), [fd])
    os.close(fd)


def execute(state: State, argv: list[str], environment: list[str]) -> None:
    """Become the program: a path, or a name to look for in $PATH. Says what is wrong as Docker does."""
    program = argv[0]
    words = [_bytes(word) for word in argv]
    variables = {name: value for name, _, value in (_bytes(entry).partition(b"=") for entry in environment) if name}
    if state.home and not variables.get(b"HOME"):
        variables[b"HOME"] = _bytes(state.home)
    if not program:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), 'exec: "": executable file not found in $PATH')
    if "/" in program:
        raise _why_not(program, _become(words[0], words, variables))
    for directory in filter(None, variables.get(b"PATH", b"").split(b":")):
        path = directory.rstrip(b"/") + b"/" + words[0]
        number = _become(path, words, variables)
        interpreter_missing = number == errno.ENOENT and os.access(path, os.F_OK)
        if interpreter_missing or number not in _NOT_HERE:
            raise _why_not(path.decode("utf-8", "surrogateescape"), number)
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), f'exec: "{program}": executable file not found in $PATH')


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _become(path: bytes, argv: list[bytes], variables: dict[bytes, bytes]) -> int:
    """The errno, if it comes back at all."""
    if sealed.lends_own_program(path):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), f"exec {path!r}: this is the runtime's own program")
    last_words.tell(0)
    try:
        os.execve(path, argv, variables)
    except OSError as error:
        last_words.tell(error.errno or 0)
        return error.errno or 0


def _why_not(path: str, number: int) -> OSError:
    if number == errno.EACCES and os.path.isdir(path):
        number = errno.EISDIR
    reason = os.strerror(number).lower()
    if number in (errno.EACCES, errno.EISDIR):
        detail = f'exec: "{path}": {reason}'
    elif number in _NOT_HERE and not os.access(path, os.F_OK):
        detail = f'exec: "{path}": stat {path}: {reason}'
    else:
        detail = f"exec {path}: {reason}"
    return OSError(number, os.strerror(number), detail)


def leave(state: State, code: int) -> None:
    """The end of a plan that has no program."""
    os._exit(code)


STEPS = {
    "dumpable": dumpable,
    "rlimit": rlimit,
    "rlimit-ceiling": rlimit_ceiling,
    "oom-score-adj": oom_score_adj,
    "umask": umask,
    "personality": personality,
    "cwd": cwd,
    "close-fds": close_fds,
    "last-words": prepare_last_words,
    "exec": execute,
    "exit": leave,
}
