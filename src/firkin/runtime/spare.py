"""A child cloned in advance, because cloning is a quarter of a start: it waits in namespaces of its own for a plan.

Invariant: a spare holds nothing of any container, nor of the launcher but three descriptors, and ends by itself when the
launcher does. It has every namespace of a default container, or of one with a user namespace (whose ids are mapped once there
is a plan), except the mount namespace, which must show the host's mounts as they are when the container starts, not as they
were when the spare was made.
"""

from __future__ import annotations

import os

from firkin.linux import process
from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink
from firkin.runtime import child, wire
from firkin.runtime.state import number_of, steps_of

KINDS = process.CLONE_NEWUTS | process.CLONE_NEWIPC | process.CLONE_NEWPID | process.CLONE_NEWNET


def wanted(plan: dict[str, object]) -> int:
    """The namespaces of a spare that would do for `plan`, 0 if none would: if it is to be born in a namespace or a group
    that exists, or shares one with the host."""
    if plan["pidns"] or plan.get("userns") or plan.get("cgroup"):
        return 0
    kinds = number_of(plan, "clone") & ~process.CLONE_NEWNS
    return kinds if kinds & ~process.CLONE_NEWUSER == KINDS else 0


class Spare:
    """One waiting child: its process id, pidfd, and this end of its status socket."""

    def __init__(self, null: int, netlink: Netlink, kinds: int = KINDS) -> None:
        self.kinds = kinds
        self.status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self.pid, self.pidfd = process.clone3(kinds)
            except OSError:
                self.status.close()
                raise
            if self.pid == 0:
                child.wait(theirs, null, netlink, own_users=bool(kinds & process.CLONE_NEWUSER))

    def fits(self, plan: dict[str, object]) -> bool:
        """Whether `plan` wants the namespaces it has, and no others."""
        return wanted(plan) == self.kinds

    def hand(self, plan: dict[str, object], handed: dict[str, int]) -> bool:
        """Give it its plan; False if it is there no more."""
        try:
            wire.send(self.status, ({"child": steps_of(plan, "child"), "names": list(handed)},), list(handed.values()))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """It is not wanted: the end of file on its socket ends it."""
        self.status.close()
        os.close(self.pidfd)
