"""Moving an interface of the host into another network namespace, addresses and all.

The invariant: nothing is moved whose name is taken over there, for a virtual device that cannot be moved back is
destroyed with the namespace. Source: runtime-spec config-linux.md "Network Devices"; rtnetlink(7), network_namespaces(7).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import process, rtnetlink
from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink

_TEMPLATE = "%d"


def move(host: Netlink, name: str, target: int, new_name: str) -> None:
    """Move interface `name` of the namespace that `host` is bound to into the one open as `target`, as `new_name` ("eth%d"
    for the next free number), keep its lasting global addresses, and set it up.

    OSError ENODEV: there is no such interface; EEXIST: the name is taken; EINVAL: it cannot leave its namespace."""
    index = host.link_index(name)
    lasting = [kept for family in (socket.AF_INET, socket.AF_INET6) for kept in _addresses(host, family, index)]
    with inside(target) as there:
        before = there.links()
        if new_name in before:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)
        host.request(rtnetlink.link_into(index, target, new_name))
        moved = new_name if _TEMPLATE not in new_name else next(iter(there.links().keys() - before.keys()))
        arrived = there.link_index(moved)
        there.request(*(rtnetlink.same_address(kept, arrived) for kept in lasting), rtnetlink.link_up(arrived))


def _addresses(host: Netlink, family: int, index: int) -> list[bytes]:
    found = [
        rtnetlink.lasting_address(body, index) for _, body in host.dump(rtnetlink.all_addresses(family)) if body[0] == family
    ]
    return [kept for kept in found if kept]


def inside(target: int) -> Netlink:
    """A socket bound to the namespace open as `target`, which this process enters just to open it."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.setns(target, process.CLONE_NEWNET)
        try:
            return Netlink()
        finally:
            process.setns(own, process.CLONE_NEWNET)
    finally:
        os.close(own)
