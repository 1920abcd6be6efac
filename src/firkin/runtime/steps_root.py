"""Steps of a plan that get a container its root file system, and that move into it for good.

The invariant: nothing that is mounted in between shows on the host, and in the end nothing of the host's can be reached.
Source: mount_namespaces(7), pivot_root(2), OCI runtime specification "Rootfs Mount Propagation".
"""

from __future__ import annotations

import os

from firkin.linux import mount, overlay
from firkin.runtime.state import State

_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def root_propagation(state: State, flags: int) -> None:
    """How this namespace's mounts relate to the host's; first, so that none of the following shows there."""
    mount.mount(None, "/", None, flags)
    state.shared_root = bool(flags & mount.MS_SHARED)


def overlay_root(state: State, staging: str, lowers: list[str], upper: str, work: str, options: list[str]) -> None:
    _seclude(state, staging)
    state.enter_root(overlay.attach(staging, lowers, upper, work, options))


def directory_root(state: State, staging: str, path: str, readonly: bool, propagation: int = mount.MS_PRIVATE) -> None:
    """A root that exists: bound onto `staging`, because pivot_root wants a mount, and one without peers. As a slave
    (MS_SLAVE) it still sees what the host mounts in it. A "fd:" path is a detached mount made outside."""
    _seclude(state, staging)
    root = state.handed[path[3:]] if path.startswith("fd:") else mount.tree(path, recursive=True)
    place = os.open(staging, _OPEN_DIRECTORY) if state.staging < 0 else state.staging
    mount.attach_with(root, place, [(mount.MOUNT_ATTR_RDONLY if readonly else 0, 0, propagation, False)])
    os.close(place)
    state.enter_root(root)


def open_staging(state: State, staging: str) -> None:
    """While this process is still the host's root to the files it meets: the way there may be closed to a mapped one."""
    state.staging = os.open(staging, _OPEN_DIRECTORY)


def _seclude(state: State, staging: str) -> None:
    """Keep the new root from showing on the host. The mount that `staging` lies on (/run) stops sharing for that."""
    if state.shared_root:
        mount.make_parent_private(staging)


def pivot(state: State, propagation: int) -> None:
    """Make the container's root this namespace's, and the host's mounts unreachable for good.

    The old root ends up on top of the new one, so that no directory in the container is needed for it, and can be
    named by its descriptor only. Unmounting it must not reach the host: slaves first."""
    old = os.open("/", _OPEN_DIRECTORY)
    os.fchdir(state.root)
    mount.pivot_root(".", ".")
    os.fchdir(old)
    mount.mount(None, ".", None, mount.MS_SLAVE | mount.MS_REC)
    mount.umount(".", mount.MNT_DETACH)
    os.close(old)
    os.chdir("/")
    if propagation:
        mount.mount(None, "/", None, propagation)


def move_root(state: State, propagation: int) -> None:
    """For a host whose root is an initial ramdisk, which pivot_root(2) refuses. The host's mounts stay in the namespace,
    below the new root where no path leads; proc and sysfs of theirs are unmounted, for a process that could mount again
    (CAP_SYS_ADMIN) is judged by what is visible."""
    os.fchdir(state.root)
    for path in ("/proc", "/sys"):
        mount.umount(path, mount.MNT_DETACH)
    mount.mount(".", "/", None, mount.MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    if propagation:
        mount.mount(None, "/", None, propagation)


STEPS = {
    "root-propagation": root_propagation,
    "overlay": overlay_root,
    "rootfs": directory_root,
    "open-staging": open_staging,
    "pivot": pivot,
    "move-root": move_root,
}
