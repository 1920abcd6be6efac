"""A child born in a user namespace that exists: by way of a process that enters it, for there is no way back from there.

Only so do its new namespaces belong to that user namespace. An ordinary user's launcher has no way back from a pid namespace
either, for its own is not that user's. The one in between makes it a child of this process all the
same, tells its number and ends. Source: setns(2), clone(2) CLONE_PARENT, user_namespaces(7).
"""

from __future__ import annotations

import errno
import marshal
import os

from firkin.linux import fds, process
from firkin.linux import sockets as socket

_LONGEST_MESSAGE = 4096


def clone(flags: int, users: int, pidns: int, cgroup: int) -> tuple[int, int]:
    """(pid, pidfd) in this process, (0, -1) in the child. `users`, `pidns`: descriptors of namespaces, or -1."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        between, between_fd = process.clone3(0)
        if between == 0:
            if _from_there(flags, users, pidns, cgroup, theirs):
                return 0, -1
            os._exit(0)
        os.close(between_fd)
        theirs.close()
        try:
            message, descriptors = fds.recv_fds(ours, _LONGEST_MESSAGE)
        finally:
            os.waitpid(between, 0)
    pid, number, detail = marshal.loads(message) if message else (0, errno.ESRCH, "enter the user namespace")
    if not descriptors:
        raise OSError(number, os.strerror(number), detail)
    return pid, descriptors[0]


def _from_there(flags: int, users: int, pidns: int, cgroup: int, report: socket.socket) -> bool:
    """In the process in between, and in the child; whether this is the child."""
    try:
        if pidns >= 0:
            process.setns(pidns, process.CLONE_NEWPID)
        if users >= 0:
            process.setns(users, process.CLONE_NEWUSER)
        pid, pidfd = process.clone3(flags | process.CLONE_PARENT, cgroup)
    except OSError as error:
        fds.send_fds(report, marshal.dumps((0, error.errno, str(error.filename))), [])
        return False
    if pid == 0:
        return True
    fds.send_fds(report, marshal.dumps((pid, 0, "")), [pidfd])
    return False
