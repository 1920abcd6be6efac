"""Control groups above and below a container's: parents that are fit to have children, and removal of what lies below.

Source: Linux Documentation/admin-guide/cgroup-v1/cpusets.rst; cgroup-v2.rst "Controlling Controllers", "Threads".
"""

from __future__ import annotations

import errno
import os
import time

from firkin.linux.cgroup_files import read, write

# First those that a group with processes cannot hand down at all: it can hand down the others, but that would make it the
# root of a threaded domain, in whose children no container could run.
DELEGATED = ("memory", "io", "hugetlb", "rdma", "misc", "cpuset", "cpu", "pids")


def inherit_cpuset(root: str, parent: str) -> None:
    """A new version 1 cpuset is empty and takes no process: copy down once, then children clone. (Except those of the
    hierarchy's root, which is not ours to change: see `fill_cpuset`.)"""
    above = root
    for part in filter(None, parent.split("/")):
        here = above + "/" + part
        _copy_cpuset(above, here)
        write(here + "/cgroup.clone_children", "1")
        above = here


def fill_cpuset(root: str, path: str) -> None:
    """What a group right below the hierarchy's root does not get by itself."""
    _copy_cpuset(root, root + path)


def _copy_cpuset(above: str, here: str) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{here}/{name}").strip():
            write(f"{here}/{name}", read(f"{above}/{name}").strip())


def hand_down(root: str, parent: str, controllers: frozenset[str]) -> dict[str, OSError]:
    """Make the groups of the version 2 path `parent` (at least "/"), and enable `controllers` for what will be below it.
    Returns those that children cannot have, each with the reason, which names the file: a process may stand in between."""
    denied: dict[str, OSError] = {}
    here = root
    for part in ["", *parent.strip("/").split("/")]:
        here = f"{here}/{part}" if part else here
        os.makedirs(here, exist_ok=True)
        wanted = [one for one in DELEGATED if one in controllers and one not in denied]
        denied.update(_enable(here + "/cgroup.subtree_control", wanted))
    return denied


def _enable(file: str, controllers: list[str]) -> dict[str, OSError]:
    """All of them by one write, which has no effect if it fails. Then one by one, until it is clear why."""
    denied: dict[str, OSError] = {}
    try:
        write(file, " ".join("+" + one for one in controllers))
    except OSError:
        for controller in controllers:
            try:
                write(file, "+" + controller)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return denied | dict.fromkeys(controllers[controllers.index(controller) :], error)
                denied[controller] = error
    return denied


def remove(directory: str, deadline: float) -> None:
    """The group with all below it; missing is fine. Until `deadline` (of the monotonic clock) it may be busy, for a killed
    process is not gone at once."""
    while True:
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        _remove_children(directory, deadline)


def _remove_children(directory: str, deadline: float) -> None:
    try:
        children = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:  # a service manager removes it at the same time
        return
    for child in children:
        remove(child, deadline)
    if not children:
        time.sleep(0.002)
