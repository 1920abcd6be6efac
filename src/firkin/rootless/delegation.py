"""The part of the version 2 cgroup hierarchy that systemd has given to a user, if it has.

A group is the user's when he may make groups in it and move processes between them. In the mount namespace it is all that
is shown. Processes may not stand in a group whose children have limits, so whoever is in it moves to a leaf first.
Source: cgroups(7), Linux Documentation/admin-guide/cgroup-v2.rst "Delegation", systemd.resource-control(5) `Delegate=`.
"""

from __future__ import annotations

import os

from firkin.linux import mount

ROOT = "/sys/fs/cgroup"
LEAF = "daemon"


def own_group(membership: str) -> str:
    """The version 2 group in the text of /proc/self/cgroup: "/user.slice/..."; "" if there is only version 1."""
    return next((line[3:] for line in membership.splitlines() if line.startswith("0::")), "")


def group_directory(membership: str, mounts: str) -> str:
    """The directory of the process's own group on a machine with version 2 alone; "" elsewhere."""
    unified = any(line.split(" ")[4] == ROOT and " - cgroup2 " in line for line in mounts.splitlines())
    group = own_group(membership)
    return os.path.normpath(ROOT + group) if unified and group else ""


def here() -> str:
    """`group_directory` of this process."""
    with open("/proc/self/cgroup", encoding="ascii") as membership, open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        return group_directory(membership.read(), mounts.read())


def is_ours(directory: str) -> bool:
    """Whether this user may make groups there and have processes and controllers in them."""
    files = ("cgroup.procs", "cgroup.subtree_control")
    return bool(directory) and all(os.access(os.path.join(directory, name), os.W_OK) for name in ("", *files))


def take() -> str:
    """The group's directory if it is ours; this process then stands in its leaf. "" if not."""
    directory = here()
    if os.path.basename(directory) == LEAF:
        directory = os.path.dirname(directory)
    if not is_ours(directory):
        return ""
    leaf = os.path.join(directory, LEAF)
    os.makedirs(leaf, exist_ok=True)
    _move_all(directory, leaf)
    return directory


def _move_all(directory: str, leaf: str) -> None:
    """Everybody, this process too: the daemon to come, its client's other children, `outside`."""
    with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
        processes = file.read().split()
    for pid in processes:
        try:
            with open(os.path.join(leaf, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(pid)
        except ProcessLookupError:
            continue


def show(group: str) -> None:
    """In a mount namespace of one's own: this group is all there is at /sys/fs/cgroup."""
    view = mount.tree(group, recursive=False)
    target = os.open(ROOT, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mount.attach(view, target)
    os.close(view)
    os.close(target)
