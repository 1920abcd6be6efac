"""Steps that change hands where root inside is not the machine's: from the child, which may not, to the launcher.

Part of `plan`. What the launcher makes (the root, copies of mounts, /dev with its nodes) it sends the child with its release;
the child attaches it where it would have made it itself, so the order of a file tree stays as `plan_files` has it.
Source: user_namespaces(7), mount_setattr(2) "ID-mapped mounts", runc libcontainer/specconv (rootless), rootfs_linux.go.
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.linux import mount
from firkin.runtime import id_maps, mount_options
from firkin.runtime.plan_process import rlimit_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from firkin.oci.runtime_config import Mount, Process
    from firkin.oci.runtime_linux import IDMapping, Linux
    from firkin.runtime.id_maps import Ranges
    from firkin.runtime.plan_terms import Step

ROOT, DEVICES = "root", "/dev"  # names of what is handed over; a mount's is its number
_BIND_MAPPED = "bind-mapped"  # (maps, deep, *arguments of "bind"); never left in a plan


def has_users(linux: Linux) -> bool:
    """Whether there is a user namespace, new or joined."""
    return any(one.type == "user" for one in linux.namespaces)


def ranges(mappings: Iterable[IDMapping]) -> Ranges:
    return tuple((one.container_id, one.host_id, one.size) for one in mappings)


def id_map_steps(linux: Linux) -> Iterator[Step]:
    """First of all, for nothing can be owned by anybody before."""
    joined = any(one.type == "user" and one.path for one in linux.namespaces)
    for operation, mappings in (("uid-map", linux.uid_mappings), ("gid-map", linux.gid_mappings)):
        if mappings and not joined:
            yield operation, id_maps.text(ranges(mappings))


def limits(process: Process) -> Iterator[Step]:
    """What the child could not raise, as it could in the machine's user namespace."""
    if process.oom_score_adj is not None:
        yield "oom-score-adj", process.oom_score_adj
    yield from ceilings(process)


def ceilings(process: Process) -> Iterator[Step]:
    yield from (("rlimit-ceiling", rlimit_number(one.type), one.hard) for one in process.rlimits)


def mapped_bind(bind: Step, one: Mount, options: mount_options.MountOptions) -> Step:
    """`bind` as it is, or with the idmapped mount that `one` asks for. Raises `Invalid` as the specification wants it."""
    given = bool(one.uid_mappings or one.gid_mappings)
    if not options.idmap:
        if given:
            raise Invalid(f"mount {one.source} on {one.destination}: uidMappings and gidMappings want option idmap or ridmap")
        return bind
    if bool(one.uid_mappings) != bool(one.gid_mappings):
        raise Invalid(f"mount {one.source} on {one.destination}: uidMappings and gidMappings want each other")
    maps = [id_maps.text(ranges(mappings)) for mappings in (one.uid_mappings, one.gid_mappings)]
    return _BIND_MAPPED, maps, options.idmap == "ridmap", *bind[1:]


def divide(steps: Iterable[Step], linux: Linux, *, privileged: bool = True) -> tuple[list[Step], list[Step]]:
    """The file tree's `steps` as (the launcher's, the child's). Without privileges the launcher has no part in it: the child,
    root in its own namespaces, can do as much."""
    users = has_users(linux)
    division = _Division(linux)
    parts = _PARTS if privileged else _ALONE
    for step in steps:
        if step[0] == _BIND_MAPPED:
            division.bind(step[3:], step[1], step[2], users)
        elif users:
            parts.get(step[0], _Division.keep)(division, step)
        else:
            division.child.append(step)
    return division.finished()


class _Division:
    def __init__(self, linux: Linux) -> None:
        self._linux = linux
        self.parent: list[Step] = []
        self.child: list[Step] = []
        self._devices: tuple[int, list[str]] | None = None
        self._nodes: list[Step] = []

    def finished(self) -> tuple[list[Step], list[Step]]:
        if self._devices:
            attributes, options = self._devices
            self.parent.append(("device-directory", DEVICES, attributes, options, self._nodes))
        return self.parent, self.child

    def keep(self, step: Step) -> None:
        self.child.append(step)

    def root_propagation(self, step: Step) -> None:
        """The kernel makes these mounts slaves of the host's, whatever anybody asks for."""
        self.child.append((step[0], mount.MS_SLAVE | mount.MS_REC))

    def overlay(self, step: Step) -> None:
        _, staging, *layers = step
        self.parent.append(("idmapped-overlay", ROOT, *layers))
        self.child.append(("rootfs", staging, "fd:" + ROOT, False))

    def rootfs(self, step: Step) -> None:
        """A directory that is the root: whoever asks for it sees to its owners."""
        _, staging, path, *others = step
        self.parent.append(("tree", ROOT, path, True, [], False))
        self.child.append(("rootfs", staging, "fd:" + ROOT, *others))

    def plain_bind(self, step: Step) -> None:
        """The mapped root might not reach its source."""
        self.bind(step[1:], [], False, True)

    def bind(self, arguments: Step, maps: list[str], deep: bool, users: bool) -> None:
        source, target, recursive, *others = arguments
        if maps and not users and not any(maps):
            raise Invalid(f"mount {source} on {target}: idmap wants uidMappings and gidMappings, or a user namespace")
        name = f"mount {len(self.parent)}"
        self.parent.append(("tree", name, source, recursive, maps, deep))
        self.child.append(("bind", "fd:" + name, target, recursive, *others))

    def mount(self, step: Step) -> None:
        fstype, _, target, attributes, options = step[1:6]
        if (fstype, target) == ("tmpfs", DEVICES):
            kept = [word for word in options if not word.startswith(("uid=", "gid="))]  # it will be root's
            self._devices = attributes, kept if any(word.startswith("mode=") for word in kept) else [*kept, "mode=755"]
            self.child.append(("mount-made", DEVICES, DEVICES))
        else:
            self.plain_mount(step)

    def plain_mount(self, step: Step) -> None:
        fstype, options = step[1], step[5]
        kept = [word for word in options if self._is_mapped(word)] if fstype == "devpts" else options
        self.child.append((*step[:5], kept, *step[6:]))

    def node(self, step: Step) -> None:
        """Its owner is the host's, as if the host's node were bound: --privileged in a user namespace does not give away the
        host's disks."""
        _, path, mode, major, minor, uid, gid = step
        if not self._devices or not path.startswith(DEVICES + "/"):
            self.child.append(("device", *step[1:]))  # the host's, in the image's own directory
            return
        self._nodes.append((path.removeprefix(DEVICES + "/"), mode, major, minor, uid, gid))

    def _is_mapped(self, option: str) -> bool:
        """Terminals cannot belong to a group that the container does not have: then they have their user's."""
        mappings = ranges(self._linux.gid_mappings)
        return not option.startswith("gid=") or not mappings or id_maps.outside_of(mappings, int(option[4:])) is not None


_PARTS = {
    "root-propagation": _Division.root_propagation,
    "overlay": _Division.overlay,
    "rootfs": _Division.rootfs,
    "bind": _Division.plain_bind,
    "mount": _Division.mount,
    "mknod": _Division.node,
}
_ALONE = {"root-propagation": _Division.root_propagation, "mount": _Division.plain_mount}
