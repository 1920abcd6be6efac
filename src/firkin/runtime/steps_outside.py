"""Steps of a plan that the launcher carries out with what belongs to the whole host: interfaces, caches.

More of `steps_parent`. Source: runtime-spec config-linux.md "Network Devices", "IntelRdt".
"""

from __future__ import annotations

import os

from firkin.linux import netdevice, resctrl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.steps_parent import Parent


def net_device(parent: Parent, name: str, new_name: str, netns: str) -> None:
    """`netns`: the descriptor's name, "" for the child's own namespace."""
    if netns:
        netdevice.move(parent.netlink, name, parent.handed[netns], new_name)
        return
    target = os.open(f"/proc/{parent.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netdevice.move(parent.netlink, name, target, new_name)
    finally:
        os.close(target)


def cache_class(parent: Parent, class_: str, schemata: list[str], make: bool, monitor: str) -> None:
    """See `linux.resctrl.join`."""
    resctrl.join(resctrl.mount_point(), class_, schemata, make, monitor, parent.pid)


STEPS = {"net-device": net_device, "resctrl": cache_class}
