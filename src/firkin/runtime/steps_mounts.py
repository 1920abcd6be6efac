"""Steps of a plan that build a container's root file system and move into it.

The invariant: once a root is there, everything in it is found and made through its descriptor, symbolic links resolved
inside it, and mounted by descriptor; nothing in an image or a volume can redirect a mount.
Source: mount_namespaces(7), pivot_root(2), OCI runtime specification "Filesystem" and "Linux masked paths".
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs, mount, overlay
from firkin.runtime import steps_hiding
from firkin.runtime.state import State

_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def root_propagation(state: State, flags: int) -> None:
    """How this namespace's mounts relate to the host's; first, so that none of the following shows there."""
    mount.mount(None, "/", None, flags)
    state.shared_root = bool(flags & mount.MS_SHARED)


def overlay_root(state: State, staging: str, lowers: list[str], upper: str, work: str, options: list[str]) -> None:
    _seclude(state, staging)
    state.enter_root(overlay.attach(staging, lowers, upper, work, options))


def directory_root(state: State, staging: str, path: str, readonly: bool) -> None:
    """A root that exists: bound onto `staging`, because pivot_root wants a mount, and one without peers."""
    _seclude(state, staging)
    root = mount.tree(path, recursive=True)
    place = os.open(staging, _OPEN_DIRECTORY)
    mount.attach_with(root, place, [(mount.MOUNT_ATTR_RDONLY if readonly else 0, 0, mount.MS_PRIVATE, False)])
    os.close(place)
    state.enter_root(root)


def _seclude(state: State, staging: str) -> None:
    """Keep the new root from showing on the host. The mount that `staging` lies on (/run) stops sharing for that."""
    if state.shared_root:
        mount.make_parent_private(staging)


def mount_filesystem(
    state: State, fstype: str, source: str, target: str, attributes: int, options: list[str], create: str
) -> None:
    """A tmpfs takes over the mode of the directory it covers, unless `options` say otherwise."""
    if fstype == "tmpfs" and not any(option.startswith("mode=") for option in options):
        options = _inherited_mode(state, target) + options
    place = state.place(target, create)
    new = mount.filesystem(fstype, source, attributes, options)
    mount.attach(new, place)
    os.close(new)
    os.close(place)


def _inherited_mode(state: State, target: str) -> list[str]:
    try:
        place = fs.in_root(state.root, target)
    except FileNotFoundError:
        return []
    mode = os.fstat(place).st_mode & 0o7777
    os.close(place)
    return [f"mode={mode:o}"]


def cgroup_views(
    state: State, target: str, attributes: int, views: list[tuple[str, str]], links: list[tuple[str, str]]
) -> None:
    """A directory of version 1 hierarchies: each of `views` (name, directory on the host) shows one group of one of them;
    `links` (name, target) are the other names of hierarchies. Nobody else can reach it meanwhile."""
    place = state.place(target, "dir")
    writable = attributes & ~mount.MOUNT_ATTR_RDONLY
    above = mount.filesystem("tmpfs", "tmpfs", writable, ["mode=755"])
    mount.attach(above, place)
    for name, directory in views:
        os.mkdir(name, 0o755, dir_fd=above)
        view = mount.tree(directory, recursive=False)
        mount.attach_with(view, above, [(attributes, 0, mount.MS_PRIVATE, False)], name)
        os.close(view)
    for name, other in links:
        os.symlink(other, name, dir_fd=above)
    if attributes != writable:
        mount.change(above, (mount.MOUNT_ATTR_RDONLY, 0, 0, False))
    os.close(above)
    os.close(place)


def bind(
    state: State,
    source: str,
    target: str,
    recursive: bool,
    set_: int,
    clear: int,
    propagation: int,
    create: str,
    top_only: bool = False,
) -> None:
    """A "fd:" source is a detached mount made outside. `top_only` spares the mounts below a recursive bind's own the
    attributes."""
    tree = os.dup(state.handed[source[3:]]) if source.startswith("fd:") else mount.tree(source, recursive)
    if create == "auto":
        create = "dir" if fs.kind_of(tree) == fs.S_IFDIR else "file"
    changes: list[mount.Change] = []
    if set_ or clear:
        changes.append((set_, clear, 0, recursive and not top_only))
    if propagation:
        changes.append((0, 0, propagation & mount.PROPAGATION, bool(propagation & mount.MS_REC)))
    place = state.place(target, create)
    try:
        mount.attach_with(tree, place, changes)
    except OSError as error:
        if error.errno != errno.EINVAL or (fs.kind_of(tree) == fs.S_IFDIR) is (fs.kind_of(place) == fs.S_IFDIR):
            raise
        raise OSError(
            errno.ENOTDIR, os.strerror(errno.ENOTDIR), "a file does not go on a directory, nor one on a file"
        ) from None
    os.close(place)
    os.close(tree)


def mount_attributes(state: State, target: str, set_: int, clear: int, propagation: int, recursive: bool) -> None:
    """Change the mount at `target`, once what had to be made in it is there."""
    place = fs.in_root(state.root, target)
    mount.change(place, (set_, clear, propagation, recursive))
    os.close(place)


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


STEPS = {
    "root-propagation": root_propagation,
    "overlay": overlay_root,
    "rootfs": directory_root,
    "mount": mount_filesystem,
    "cgroup-views": cgroup_views,
    "bind": bind,
    "mount-attributes": mount_attributes,
    "pivot": pivot,
    **steps_hiding.STEPS,
}
