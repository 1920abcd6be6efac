"""What the engine prepared for one start of one container: paths, names and namespaces to join."""

from __future__ import annotations

import msgspec


class Sandbox(msgspec.Struct, frozen=True):
    """`rootfs`: where the root will be attached. `cgroup`: path of the group. `files`: path inside -> file of the host's
    bound there (/etc/hosts, /etc/hostname, /etc/resolv.conf). `shm`: directory of the host's bound on /dev/shm, "" for a
    tmpfs of the container's own. `namespaces`: kind ("pid", "network", "ipc", "user") -> path under /proc, for modes
    `container:X`. `environment`: variables that links bring."""

    rootfs: str
    cgroup: str
    files: dict[str, str] = msgspec.field(default_factory=dict)
    shm: str = ""
    namespaces: dict[str, str] = msgspec.field(default_factory=dict)
    environment: tuple[str, ...] = ()
