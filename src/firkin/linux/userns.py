"""User namespaces as descriptors: that of a process, or one with given maps that no process is in.

The invariant: a map is text as the kernel reads it, "INSIDE OUTSIDE COUNT" a line. Descriptors are close-on-exec.
Source: user_namespaces(7), mount_setattr(2) "ID-mapped mounts", setfsuid(2).
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # without its enumerations
import errno
import os

from firkin.linux import capabilities, fs, process
from firkin.linux.syscalls import call


def write_maps(pid: int, users: str, groups: str) -> None:
    """Of a process's namespace, once for all: which ids outside those inside stand for. The groups' first: it is the one
    that a missing privilege shows up in."""
    fs.write_file(f"/proc/{pid}/gid_map", groups)
    fs.write_file(f"/proc/{pid}/uid_map", users)


def root_of(pid: int) -> tuple[int, int]:
    """The ids, as this process counts them, of root in the namespace of `pid`; EINVAL if it has none."""
    found = []
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", encoding="utf-8") as file:
            found += [int(line.split()[1]) for line in file if line.split()[0] == "0"]
    if len(found) != 2:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), "root of the user namespace")
    return found[0], found[1]


def forbids_groups(pid: int) -> bool:
    """Whether setgroups(2) is out of reach in the namespace of `pid`: groups that deny something cannot be dropped there."""
    with open(f"/proc/{pid}/setgroups", encoding="utf-8") as file:
        return file.read() == "deny\n"


def act_as(uid: int, gid: int) -> None:
    """Own what is made from here on as these ids do, with the privileges of before: on a mount that is mapped, ids that the
    map does not have can own nothing. `act_as(0, 0)` ends it."""
    held = capabilities.get()
    call("setfsgid", gid)
    call("setfsuid", uid)  # takes away the privileges over files; credentials(7)
    capabilities.set_(*held)


def of_process(pid: int) -> int:
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def make(users: str, groups: str) -> int:
    """A namespace with these maps, for the mapping of mounts. It is made by a process that lives until it has them."""
    pid, pidfd = process.clone3(process.CLONE_NEWUSER)
    if pid == 0:
        try:
            while True:
                signal.pause()
        finally:
            os._exit(0)
    try:
        write_maps(pid, users, groups)
        return of_process(pid)
    finally:
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
