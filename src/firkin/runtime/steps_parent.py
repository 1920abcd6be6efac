"""Steps of a plan that the launcher carries out for a child it has just cloned, from outside its namespaces.

The child goes on past its `wait-parent` when all of them are done. Source: user_namespaces(7), proc(5), rtnetlink(7).
"""

from __future__ import annotations

import os

from firkin.linux import fs, userns
from firkin.linux.netlink import Netlink
from firkin.runtime import steps_outside, steps_users


class Parent:
    """What the steps are about: the child, the descriptors handed over by name, the launcher's network namespace; and what
    has been `made` for the child, by the names that its steps know it by."""

    def __init__(self, pid: int, handed: dict[str, int], netlink: Netlink) -> None:
        self.pid, self.handed, self.netlink = pid, handed, netlink
        self.made: dict[str, int] = {}
        self._users: dict[tuple[str, str], int] = {}

    def users(self, users: str, groups: str) -> int:
        """A descriptor of a user namespace with these maps; both "": the child's."""
        key = users, groups
        if key not in self._users:
            self._users[key] = userns.make(users, groups) if users or groups else userns.of_process(self.pid)
        return self._users[key]

    def root(self) -> tuple[int, int]:
        """What root in the child's user namespace is here."""
        return userns.root_of(self.pid)

    def close(self) -> None:
        for fd in (*self.made.values(), *self._users.values()):
            os.close(fd)


def write_file(parent: Parent, path: str, text: str) -> None:
    fs.write_file(path, text)


def veth(parent: Parent, host: str, bridge: int, guest: str, mac: str, mtu: int, netns: str) -> None:
    """`netns`: the descriptor's name, "" for the child's own namespace."""
    if netns:
        parent.netlink.create_veth(host, bridge, guest, mac, mtu, netns=parent.handed[netns])
    else:
        parent.netlink.create_veth(host, bridge, guest, mac, mtu, pid=parent.pid)


def bridge_port(parent: Parent, name: str, hairpin: bool, isolated: bool) -> None:
    parent.netlink.set_port(name, hairpin, isolated)


STEPS = {
    "write-file": write_file,
    "veth": veth,
    "bridge-port": bridge_port,
    **steps_outside.STEPS,
    **steps_users.STEPS,
}
