"""Steps of a plan that mount what belongs into a container's root.

The invariant: once a root is there, everything in it is found and made through its descriptor, symbolic links resolved
inside it, and mounted by descriptor; nothing in an image or a volume can redirect a mount.
Source: mount_namespaces(7), OCI runtime specification config.md "Mounts".
"""

from __future__ import annotations

import errno
import os

from firkin.linux import fs, mount
from firkin.linux.copy_up import copy_tree
from firkin.runtime import mountpoints, steps_hiding, steps_root
from firkin.runtime.state import State

_NOT_BEHIND_LINKS = ("proc", "sysfs")


def mount_filesystem(
    state: State,
    fstype: str,
    source: str,
    target: str,
    attributes: int,
    options: list[str],
    create: str,
    copy_up: bool = False,
    allowed: str = "",
) -> None:
    """A tmpfs takes over the mode of the directory it covers, unless `options` say otherwise; with `copy_up` it begins
    with what that directory holds, which nobody sees unfinished. `allowed`: see `mountpoints.find`."""
    if fstype == "tmpfs" and not any(option.startswith("mode=") for option in options):
        options = _inherited_mode(state, target) + options
    plain = fstype in _NOT_BEHIND_LINKS or target == "/dev"
    place = _plain_place(state, target, create) if plain else mountpoints.find(state, target, create, allowed)
    new = mount.filesystem(fstype, source, attributes & ~mount.MOUNT_ATTR_RDONLY if copy_up else attributes, options)
    if copy_up:
        _copy_up(state, place, new, attributes)
    mount.attach(new, place)
    os.close(new)
    os.close(place)


def mount_made(state: State, name: str, target: str) -> None:
    """Attach the file system `name`, which was made outside, to a directory such as `mount_filesystem` wants for /dev."""
    place = _plain_place(state, target, "dir")
    mount.attach(state.handed[name], place)
    os.close(place)


def _copy_up(state: State, place: int, new: int, attributes: int) -> None:
    source, target = (os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=one) for one in (place, new))
    copy_tree(source, target, state.proc)
    os.close(source)
    os.close(target)
    if attributes & mount.MOUNT_ATTR_RDONLY:
        mount.change(new, (mount.MOUNT_ATTR_RDONLY, 0, 0, False))


def _plain_place(state: State, target: str, create: str) -> int:
    """A directory that is no symbolic link, nor behind one: what is hidden and made in it later must be found there again,
    not where a link leads by then, into a volume for instance (CVE-2019-19921, CVE-2023-27561)."""
    try:
        return fs.in_root(state.root, target, resolve=fs.RESOLVE_NO_SYMLINKS)
    except FileNotFoundError:
        os.close(state.place(target, create))
        return _plain_place(state, target, "")
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), f"{target} must be an ordinary directory") from None


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
    place = mountpoints.find(state, target, "dir")
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
    allowed: str = "",
    set_all: int = 0,
    clear_all: int = 0,
) -> None:
    """A "fd:" source is a detached mount made outside. `top_only` spares the mounts below a recursive bind's own the
    attributes; those of `set_all` and `clear_all` reach them in any case. `allowed`: see `mountpoints.find`."""
    tree = os.dup(state.handed[source[3:]]) if source.startswith("fd:") else mount.tree(source, recursive)
    if create == "auto":
        create = "dir" if fs.kind_of(tree) == fs.S_IFDIR else "file"
    changes: list[mount.Change] = []
    if set_ or clear:
        changes.append((set_, clear, 0, recursive and not top_only))
    if set_all or clear_all:
        changes.append((set_all, clear_all, 0, recursive))
    if propagation:
        changes.append((0, 0, propagation & mount.PROPAGATION, bool(propagation & mount.MS_REC)))
    if allowed == mountpoints.PROC_ITSELF:
        mountpoints.demand_proc(tree, target)
    place = mountpoints.find(state, target, create, allowed)
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


def remount(state: State, target: str, set_: int, clear: int, options: list[str]) -> None:
    """Give the mount at `target` just these attributes, and its file system `options`, if there are any."""
    place = fs.in_root(state.root, target)
    if options:
        mount.reconfigure(place, options)
    mount.change(place, (set_, clear, 0, False))
    os.close(place)


STEPS = {
    "mount": mount_filesystem,
    "mount-made": mount_made,
    "cgroup-views": cgroup_views,
    "bind": bind,
    "mount-attributes": mount_attributes,
    "remount": remount,
    **steps_hiding.STEPS,
    **steps_root.STEPS,
}
