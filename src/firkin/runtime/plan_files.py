"""Steps that build a container's file tree and take away the host's. Part of `plan`.

All of it happens before pivot_root: targets are found through a descriptor of the new root, while the host's own /proc
and /dev/null are still there to be used.
"""

from __future__ import annotations

import posixpath
import stat

from firkin.errors import Unsupported
from firkin.linux import mount
from firkin.oci.runtime_config import Config, Mount
from firkin.oci.runtime_linux import Device, Linux
from firkin.runtime import defaults, mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from firkin.runtime.plan_terms import Overlay, Step

_CGROUPS = "/sys/fs/cgroup"
_NODE_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def root(config: Config, source: Overlay | str, staging: str, *, volatile: bool) -> Iterator[Step]:
    """Cut off from the host's mounts first: from here on nothing that is mounted shows outside."""
    shared = config.linux.rootfs_propagation.endswith("shared")
    yield "root-propagation", mount.MS_SHARED if shared else mount.MS_SLAVE | mount.MS_REC
    if isinstance(source, str):
        yield "rootfs", staging, source, False
    else:
        yield "overlay", staging, list(source.lowers), source.upper, source.work, ["volatile"] if volatile else []


def tree(config: Config, join_files: Sequence[str]) -> Iterator[Step]:
    """Mounts in the configuration's order, /dev's nodes, and the working directory, which Docker makes if it is missing."""
    own_dev = False
    for one in config.mounts:
        if one.type == "cgroup":
            yield from _cgroups(one, config.linux.cgroups_path, join_files)
        else:
            yield from _mount(one)
        own_dev = own_dev or (one.destination == "/dev" and one.type == "tmpfs")
    if own_dev:  # otherwise /dev is the host's, or the image's, and has what it should
        yield from _devices(config.linux.devices)
    if config.process and posixpath.normpath(config.process.cwd) != "/":
        yield "mkdir", posixpath.normpath(config.process.cwd), 0o755


def hide(config: Config) -> Iterator[Step]:
    """After the last step that writes below the root, and sysctls, which lie under a read-only path."""
    if config.root and config.root.readonly:
        yield ("readonly-root",)
    yield from (("readonly-path", path) for path in config.linux.readonly_paths)
    yield from (("mask", path) for path in config.linux.masked_paths)


def root_propagation(linux: Linux) -> int:
    """For the finished root; 0 leaves it private."""
    return mount_options.PROPAGATION[linux.rootfs_propagation] if linux.rootfs_propagation else 0


def _mount(one: Mount) -> Iterator[Step]:
    options = mount_options.parse(one.options)
    if options.bind or one.type == "bind":
        yield _bind(one, options)
        return
    yield "mount", one.type, one.source, one.destination, options.set, list(options.data), "dir"
    if options.propagation & ~mount.MS_REC not in (0, mount.MS_PRIVATE):  # a new mount is private
        yield "mount-attributes", one.destination, 0, 0, options.propagation & ~mount.MS_REC, False


def _bind(one: Mount, options: mount_options.MountOptions) -> Step:
    for_top, for_all = options.set or options.clear, options.recursive_set or options.recursive_clear
    if for_top and options.recursive_clear:
        raise Unsupported(f"mount {one.source} on {one.destination}: options for all mounts and for the top one only")
    return (
        "bind",
        one.source,
        one.destination,
        options.recursive or not options.bind,
        options.set | options.recursive_set,
        options.clear | options.recursive_clear,
        options.propagation,
        "auto",
        not for_all,  # if there are flags of both kinds, the mounts below get the stricter
    )


def _cgroups(one: Mount, path: str, join_files: Sequence[str]) -> Iterator[Step]:
    """Version 2: the file system, whose root is the container's group in a cgroup namespace. Version 1: a directory of
    the hierarchies, each showing the container's own group only."""
    options = mount_options.parse(one.options)
    views = {posixpath.dirname(file).removesuffix(path): posixpath.dirname(file) for file in join_files}
    if not views or _CGROUPS in views:
        yield "mount", "cgroup2", "cgroup", one.destination, options.set, [], "dir"
        return
    named = [(posixpath.basename(hierarchy), directory) for hierarchy, directory in views.items()]
    links = [(part, name) for name, _ in named if "," in name for part in name.split(",")]
    yield "cgroup-views", one.destination, options.set, named, links


def _devices(wanted: Sequence[Device]) -> Iterator[Step]:
    """The default nodes, then those asked for; where a link belongs no node is made."""
    nodes = {one.path: one for one in (*defaults.DEVICES, *wanted)}
    links = dict(defaults.DEVICE_LINKS)
    for one in nodes.values():
        if one.path not in links:
            mode = _NODE_TYPES[one.type] | (0o666 if one.file_mode is None else one.file_mode)
            yield "mknod", one.path, mode, one.major, one.minor, one.uid, one.gid
    for path, target in links.items():
        yield "symlink", target, path
