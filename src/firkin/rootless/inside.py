"""Furnishing a user's namespaces, from inside, once their ids are mapped; then being the porter.

How a container's answers to a borrowed address come back: connections made with `streams.MARK` are remembered by connection
tracking; what belongs to one and comes from a bridge gets a mark of its own, for which every address is a local one.
Source: user_namespaces(7), Linux Documentation/networking/tproxy.rst, nft(8).
"""

from __future__ import annotations

import os
import socket
import subprocess

from firkin.linux import mount, process, rtnetlink
from firkin.linux.netlink import LOOPBACK, Netlink
from firkin.rootless import delegation, helpers
from firkin.rootless.porter import Porter
from firkin.rootless.streams import MARK
from firkin.runtime import wire

_ANSWER = 0x47
_TABLE = 70
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_RULES = f"""table inet firkin_porter {{
  chain output {{ type filter hook output priority mangle; meta mark {MARK} ct mark set {_ANSWER}; }}
  chain prerouting {{
    type filter hook prerouting priority mangle
    ct mark {_ANSWER} ct direction reply meta mark set {_ANSWER}
  }}
}}
"""
_RESOLV_CONF = "/etc/resolv.conf"
NAMESPACES = {
    "user": process.CLONE_NEWUSER,
    "mnt": process.CLONE_NEWNS,
    "net": process.CLONE_NEWNET,
    "cgroup": process.CLONE_NEWCGROUP,
}
"""In the order in which they are entered: being root in the first gives the right to the others."""


def begin(exec_root: str, outside: socket.socket) -> None:
    """In a process of its own: make the namespaces, furnish them, be the porter. Never returns."""
    try:
        group = delegation.take()
        process.unshare(sum(NAMESPACES.values()))
        process.set_dumpable(True)  # so that the user's own processes may enter
        wire.send(outside, ("made",))
        if wire.receive(outside)[0] != ("mapped",):
            os._exit(1)
        _furnish(exec_root, group)
        porter = Porter(exec_root, outside)
    except (OSError, EOFError, subprocess.SubprocessError) as error:
        wire.send(outside, ("failed", f"furnish the namespaces: {error}"))
        os._exit(1)
    wire.send(outside, ("ready",))
    porter.run()


def begin_again(exec_root: str, outside: socket.socket, namespaces: dict[str, int]) -> None:
    """In a process of its own: take the place of a porter that died, in namespaces that are still there."""
    enter(namespaces)
    porter = Porter(exec_root, outside)
    wire.send(outside, ("ready",))
    porter.run()


def enter(namespaces: dict[str, int]) -> None:
    """Enter namespaces open as these descriptors; the process must have one thread. Raises OSError."""
    for name, kind in NAMESPACES.items():
        if name in namespaces:
            process.setns(namespaces[name], kind)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def open_namespaces(pid: int) -> dict[str, int]:
    """Descriptors of those of the porter's namespaces that are not this process's own."""
    found = {}
    for name in NAMESPACES:
        path = f"/proc/{pid}/ns/{name}"
        if os.readlink(path) != os.readlink(f"/proc/self/ns/{name}"):
            found[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return found


def _furnish(exec_root: str, group: str) -> None:
    mount.mount(None, "/", None, mount.MS_SLAVE | mount.MS_REC)  # the host's later mounts show here, ours never there
    _reachable_nameserver(exec_root)
    if group:
        delegation.show(group)
    with Netlink() as netlink:
        netlink.request(rtnetlink.link_up(LOOPBACK))
        for family in _FAMILIES if os.path.exists("/proc/sys/net/ipv6") else _FAMILIES[:1]:
            netlink.request(rtnetlink.marked_uses(family, _ANSWER, _TABLE))
            netlink.request(rtnetlink.everything_local(family, LOOPBACK, _TABLE))
    subprocess.run(["nft", "-f", "-"], input=_RULES.encode(), check=True)


def _reachable_nameserver(exec_root: str) -> None:
    try:
        with open(_RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            text = helpers.resolv_conf(file.read())
    except FileNotFoundError:
        return
    if text is None:
        return
    path = os.path.join(exec_root, "resolv.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    source, target = mount.tree(path, False), os.open(_RESOLV_CONF, os.O_PATH | os.O_CLOEXEC)
    mount.attach(source, target)
    os.close(source)
    os.close(target)
