"""Steps of a plan that settle who a child is and what it may do.

The invariant: the user is looked up in the container's own files with the engine's rights, but nothing in them is
followed out of the root or waited for; what is given up here cannot be had back.
Source: credentials(7), capabilities(7), seccomp(2), passwd(5), runc libcontainer/init_linux.go (order).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import capabilities, fs, process, seccomp
from firkin.runtime import accounts
from firkin.runtime.state import State

_LONGEST_ACCOUNTS = 16 << 20


def user(state: State, spec: str, extra_groups: list[str], set_home: bool) -> None:
    """Look the user up in the container's own files; `identity` makes the change."""
    passwd = _read_accounts(state, "/etc/passwd")
    account = accounts.find_account(spec, extra_groups, passwd, _read_accounts(state, "/etc/group"))
    state.uid, state.gid, state.groups = account.uid, account.gid, account.groups
    if set_home:
        state.home = accounts.home_of(account.uid, passwd)


def ids(state: State, uid: int, gid: int, groups: list[int] | None, set_home: bool) -> None:
    """The ids are given; the container's files tell only where that user's home is. `groups` None: those it has."""
    state.uid, state.gid, state.groups = uid, gid, groups
    if set_home:
        state.home = accounts.home_of(uid, _read_accounts(state, "/etc/passwd"))


def _read_accounts(state: State, path: str) -> bytes:
    """b"" if there is none. Not waiting: the image may have put a FIFO there."""
    try:
        fd = fs.in_root(state.root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return b""
    try:
        size = os.fstat(fd).st_size
        if fs.kind_of(fd) != fs.S_IFREG or size > _LONGEST_ACCOUNTS:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return os.read(fd, size)
    finally:
        os.close(fd)


def identity(state: State, bounding: int, permitted: int, effective: int, inheritable: int, ambient: int) -> None:
    """The user that `user` found, with these capabilities, less those that the engine itself does not hold."""
    held = capabilities.get()[1]
    capabilities.limit_bounding(bounding)
    if state.uid is not None and state.gid is not None:
        _set_ids(state.uid, state.gid, state.groups)
    capabilities.set_(effective & held, permitted & held, inheritable & held)
    capabilities.set_ambient(ambient & held)


def _set_ids(uid: int, gid: int, groups: list[int] | None) -> None:
    try:
        _own_stdio(uid)
        capabilities.keep_across_setuid(True)
        if groups is not None:
            os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        capabilities.keep_across_setuid(False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        ids = f"user {uid}, groups {' '.join(map(str, dict.fromkeys((gid, *(groups or ())))))}"
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), f"the user namespace does not map all of {ids}") from None


def _own_stdio(uid: int) -> None:
    """Let the user reopen its streams as /dev/stdout and the like. The host's null device is not for giving away;
    nor is, from inside a user namespace, a pipe that was made outside."""
    for fd in (0, 1, 2):
        if os.fstat(fd).st_uid != uid and (fs.kind_of(fd) == fs.S_IFIFO or os.isatty(fd)):
            try:
                os.fchown(fd, uid, -1)
            except PermissionError:
                pass


def no_new_privileges(state: State) -> None:
    process.set_no_new_privileges()


def install_seccomp(state: State, program: bytes, flags: int) -> None:
    seccomp.install(program, flags)


STEPS = {
    "user": user,
    "ids": ids,
    "identity": identity,
    "no-new-privileges": no_new_privileges,
    "seccomp": install_seccomp,
}
