"""Steps of a plan that the launcher carries out for a child it has just cloned, from outside its namespaces.

The child goes on past its `wait-parent` when all of them are done. Source: user_namespaces(7), proc(5), rtnetlink(7).
"""

from __future__ import annotations

from firkin.linux import fs
from firkin.linux.netlink import Netlink


class Parent:
    """What the steps are about: the child, the descriptors handed over by name, the launcher's network namespace."""

    def __init__(self, pid: int, handed: dict[str, int], netlink: Netlink) -> None:
        self.pid, self.handed, self.netlink = pid, handed, netlink


def uid_map(parent: Parent, text: str) -> None:
    fs.write_file(f"/proc/{parent.pid}/uid_map", text)


def gid_map(parent: Parent, text: str) -> None:
    fs.write_file(f"/proc/{parent.pid}/gid_map", text)


def setgroups(parent: Parent, text: str) -> None:
    """ "allow" or "deny"."""
    fs.write_file(f"/proc/{parent.pid}/setgroups", text)


def oom_score_adj(parent: Parent, score: int) -> None:
    """For a child in a user namespace, which may not do it itself. Lowering it may be forbidden here too."""
    try:
        fs.write_file(f"/proc/{parent.pid}/oom_score_adj", str(score))
    except PermissionError:
        pass


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
    "uid-map": uid_map,
    "gid-map": gid_map,
    "setgroups": setgroups,
    "oom-score-adj": oom_score_adj,
    "write-file": write_file,
    "veth": veth,
    "bridge-port": bridge_port,
}
