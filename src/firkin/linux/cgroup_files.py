"""Where control group hierarchies are mounted, and their files, which are read and written whole.

Source: proc_pid_mountinfo(5), cgroups(7).
"""

from __future__ import annotations

import os

# Version 1 hierarchies that every container joins, and those that only one with a limit of theirs does; others
# (perf_event, name=systemd) are left alone.
V1_CONTROLLERS = ("cpuset", "cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "hugetlb")
V1_ON_DEMAND = ("net_cls", "net_prio", "rdma")


def mounts(mountinfo: str, named: str = "") -> tuple[dict[str, str], str]:
    """Version 1 controller -> mount point, and the version 2 mount point ("" when there is none). `named`: a version 1
    hierarchy without a controller to be among them, as in "name=systemd"."""
    v1: dict[str, str] = {}
    v2 = ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            v2 = v2 or before.split(" ")[4]
        elif kind == "cgroup":
            for option in options.split(" ")[-1].split(","):
                if option in V1_CONTROLLERS or option in V1_ON_DEMAND or option == named:
                    v1.setdefault(option, before.split(" ")[4])
    return v1, v2


def offers(root: str, controller: str, name: str) -> bool:
    """Whether groups of the hierarchy at `root` have the control file, as far as can be seen: the root group lacks many of
    those that others have, and where there is no other yet nobody knows better."""
    if os.path.exists(f"{root}/{name}"):
        return True
    for group in (entry.path for entry in os.scandir(root) if entry.is_dir()):
        given = f"{group}/cgroup.controllers"
        if not os.path.exists(given) or controller in read(given).split():  # version 1; version 2
            return os.path.exists(f"{group}/{name}")
    return True


def write(path: str, value: str) -> None:
    """Raises OSError naming the file."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks).decode()
    finally:
        os.close(fd)
