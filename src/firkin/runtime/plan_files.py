"""Steps that build a container's file tree and take away the host's. Part of `plan`.

All of it happens before pivot_root: targets are found through a descriptor of the new root, while the host's own /proc
and /dev/null are still there to be used.
"""

from __future__ import annotations

import posixpath
import stat

from firkin.errors import Invalid
from firkin.linux import mount
from firkin.oci.runtime_config import Config, Mount
from firkin.oci.runtime_linux import Linux
from firkin.runtime import defaults, mount_options, mountpoints, plan_users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from firkin.runtime.plan_terms import Overlay, Step

_CGROUPS = "/sys/fs/cgroup"
_UNLABELLED = ("proc", "sysfs", "mqueue", "cgroup", "cgroup2")  # they label their files themselves
_ALL_FLAGS = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
_ALL_FLAGS |= mount.MOUNT_ATTR_NODIRATIME | mount.MOUNT_ATTR_NOSYMFOLLOW
_DEV, _PTMX = "/dev", "/dev/ptmx"
_NODE_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def root(config: Config, source: Overlay | str, staging: str, *, volatile: bool) -> Iterator[Step]:
    """Cut off from the host's mounts first: from here on nothing that is mounted shows outside."""
    shared = config.linux.rootfs_propagation.endswith("shared")
    yield "root-propagation", mount.MS_SHARED if shared else mount.MS_SLAVE | mount.MS_REC
    if isinstance(source, str):
        slave = config.linux.rootfs_propagation in ("", "slave", "rslave")  # not given: as runc has it
        yield "rootfs", staging, source, False, mount.MS_SLAVE if slave else mount.MS_PRIVATE
    else:
        context = _context(config.linux.mount_label)
        options = [*source.options, *context, *(["volatile"] if volatile else [])]
        yield "overlay", staging, list(source.lowers), source.upper, source.work, options


def tree(config: Config, join_files: Sequence[str], *, grouped: bool = True, bind_devices: bool = False) -> Iterator[Step]:
    """Mounts in the configuration's order, /dev's nodes, and the working directory, which Docker makes if it is missing.
    `grouped`: there is a group for it, which somebody else puts it into if there are no `join_files`."""
    for one in config.mounts:
        if one.type == "cgroup":
            yield from _cgroups(one, config.linux, join_files, grouped)
        else:
            yield from _mount(one, config.linux.mount_label)
    yield from map(_shown, _devices(config)) if bind_devices else _devices(config)
    if config.process and posixpath.normpath(config.process.cwd) != "/":
        yield "mkdir", posixpath.normpath(config.process.cwd), 0o755


def hide(config: Config) -> Iterator[Step]:
    """After the last step that writes below the root, and sysctls, which lie under a read-only path."""
    if config.root and config.root.readonly:
        yield ("readonly-root",)
    yield from (("readonly-path", path) for path in config.linux.readonly_paths)
    yield from (("mask", path) for path in config.linux.masked_paths)


def close_devices(config: Config) -> Iterator[Step]:
    """Make /dev read-only, where that is asked for, once its nodes are there and the terminal is."""
    over = [mount_options.parse(one.options) for one in config.mounts if destination(one) == _DEV and one.type != "bind"]
    if over and not over[-1].bind and _attributes(over[-1]) & mount.MOUNT_ATTR_RDONLY:
        yield "mount-attributes", _DEV, mount.MOUNT_ATTR_RDONLY, 0, 0, False


def root_propagation(linux: Linux) -> int:
    """For the finished root; 0 leaves it private."""
    return mount_options.PROPAGATION[linux.rootfs_propagation] if linux.rootfs_propagation else 0


def _mount(one: Mount, label: str) -> Iterator[Step]:
    """`label`: SELinux's, for file systems that take one."""
    options = mount_options.parse(one.options)
    if options.remount:
        data = [] if options.bind else [*options.superblock, *options.data]
        yield "remount", one.destination, options.set, _ALL_FLAGS & ~options.set | options.clear, data
    elif options.bind or one.type == "bind":
        yield plan_users.mapped_bind(_bind(one, options), one, options)
    elif options.idmap:
        raise Invalid(f"mount {one.type} on {one.destination}: idmap is for bind mounts")
    else:
        yield _new_filesystem(one, options, label)
        if options.propagation & ~mount.MS_REC not in (0, mount.MS_PRIVATE):  # a new mount is private
            yield "mount-attributes", one.destination, 0, 0, options.propagation & ~mount.MS_REC, False


def _context(label: str) -> list[str]:
    """The option that gives all files of a file system one SELinux label."""
    return [f"context={label}"] if label else []


def _new_filesystem(one: Mount, options: mount_options.MountOptions, label: str) -> Step:
    """Nothing is mounted below it yet, so what is for the whole tree is for it alone."""
    context = [] if one.type in _UNLABELLED else _context(label)
    data = [*options.superblock, *options.data, *context]
    attributes = _attributes(options)
    if destination(one) == _DEV:
        attributes &= ~mount.MOUNT_ATTR_RDONLY  # not yet, see `close_devices`
    step = ("mount", one.type, one.source, one.destination, attributes, data, "dir")
    copy_up = options.copy_up and one.type == "tmpfs"
    allowed = _allowed_in_proc(one) if one.type != "proc" or destination(one) != "/proc" else ""
    return (*step, copy_up, allowed) if copy_up or allowed else step


def _attributes(options: mount_options.MountOptions) -> int:
    return options.set & ~options.recursive_clear | options.recursive_set


def _bind(one: Mount, options: mount_options.MountOptions) -> Step:
    for_top, for_all = (options.set, options.clear), (options.recursive_set, options.recursive_clear)
    both = any(for_top) and any(for_all)
    step = (
        "bind",
        one.source,
        one.destination,
        options.recursive or not options.bind,
        *(for_all if any(for_all) and not both else for_top),
        options.propagation,
        "auto",
        not any(for_all) or both,
    )
    allowed = mountpoints.PROC_ITSELF if destination(one) == "/proc" else _allowed_in_proc(one)
    return (*step, allowed, *(for_all if both else ())) if allowed or both else step


def _allowed_in_proc(one: Mount) -> str:
    """What it may be mounted on inside proc, see `mountpoints`. Raises `Invalid` where its target says already that it may
    not; where only a link leads there, the child finds out."""
    place = destination(one)
    if not (place + "/").startswith("/proc/"):
        return ""
    if place not in mountpoints.REPLACEABLE:
        why = "it is not of type proc" if place == "/proc" else "it is inside /proc"
        raise Invalid(f'"{one.destination}" cannot be mounted because {why}')
    return mountpoints.PROC_FILE


def destination(one: Mount) -> str:
    """Where it is mounted, as a normal path."""
    return posixpath.normpath("/" + one.destination.lstrip("/"))


def is_bind(one: Mount) -> bool:
    return one.type == "bind" or mount_options.parse(one.options).bind


def _cgroups(one: Mount, linux: Linux, join_files: Sequence[str], grouped: bool) -> Iterator[Step]:
    """Version 2: the file system, whose root is the container's group in a cgroup namespace. Version 1: a directory of
    the hierarchies, each showing the container's own group only; with neither a group nor a namespace, an empty one."""
    options = mount_options.parse(one.options)
    if not grouped and not any(other.type == "cgroup" for other in linux.namespaces):
        yield "cgroup-views", one.destination, options.set, [], []
        return
    if all(file.endswith("/cgroup.procs") for file in join_files):
        yield "mount", "cgroup2", "cgroup", one.destination, options.set, [], "dir"
        return
    path = linux.cgroups_path
    named = [(hierarchy(directory, path), directory) for directory in map(posixpath.dirname, join_files)]
    links = [(part, name) for name, _ in named if "," in name for part in name.split(",")]
    yield "cgroup-views", one.destination, options.set, named, links


def hierarchy(directory: str, path: str) -> str:
    """What the hierarchy of the group `directory` is called, `path` being the group's path in it, or in a part of it."""
    if directory.startswith(_CGROUPS + "/"):
        return directory.removeprefix(_CGROUPS + "/").partition("/")[0]
    return posixpath.basename(directory.removesuffix(path))


def _shown(step: Step) -> Step:
    """The host's device where the step would make one."""
    return ("device", *step[1:]) if step[0] == "mknod" and not stat.S_ISFIFO(step[2]) else step


def _devices(config: Config) -> Iterator[Step]:
    """The default nodes, then those asked for; where a link belongs no node is made. A /dev that is bound from elsewhere
    has what it should, one that belongs to the image may have some of it."""
    over = [one for one in config.mounts if destination(one) == _DEV]
    bound = bool(over) and is_bind(over[-1])
    nodes = {one.path: one for one in (*defaults.DEVICES, *config.linux.devices)}
    links = dict(defaults.DEVICE_LINKS)
    for one in nodes.values():
        if one.path not in links and not (bound and one.path.startswith(_DEV + "/")):
            mode = _NODE_TYPES[one.type] | (0o666 if one.file_mode is None else one.file_mode & 0o7777)
            yield "mknod", one.path, mode, one.major, one.minor, one.uid, one.gid
    if not bound:
        for path, target in links.items():
            replace = path == _PTMX and not over
            yield ("symlink", target, path, True) if replace else ("symlink", target, path)
