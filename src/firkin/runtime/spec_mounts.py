"""What a container's file tree is made of besides its image, in the order it is mounted.

Docker's default mounts come first, unless the user mounts something else there; then the user's by depth of their
target, so that a mount inside another lands in it.

Source: moby daemon/oci_linux.go (WithMounts), daemon/volumes_unix.go, container/container_unix.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from firkin.errors import Invalid
from firkin.model import Container, HostConfig, MountPoint, MountRequest
from firkin.oci.runtime_config import Mount
from firkin.runtime import defaults, id_maps, mountpoints, spec_linux
from firkin.runtime.machine import Machine
from firkin.runtime.mount_options import PROPAGATION
from firkin.runtime.sandbox import Sandbox
from firkin.runtime.spec_security import security_options

_TMPFS_KEYS = frozenset(("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"))
_TMPFS_WORDS = """
    defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync mand nomand atime noatime diratime nodiratime
    relatime norelatime strictatime nostrictatime private rprivate shared rshared slave rslave
"""
_TMPFS_FLAGS = frozenset(_TMPFS_WORDS.split())
_OPPOSITES = {"ro": "rw", "nosuid": "suid", "nodev": "dev", "noexec": "exec", "noatime": "atime", "nodiratime": "diratime"}
_OPPOSITES |= {value: key for key, value in _OPPOSITES.items()}


def mounts(container: Container, machine: Machine, sandbox: Sandbox) -> tuple[Mount, ...]:
    """Everything to mount, in order. Raises `Invalid` for options that no mount can have."""
    host = container.host
    wanted = {mount.destination: mount for mount in _user_mounts(container, machine, sandbox)}
    for mount in wanted.values():
        _refuse_inside_proc(mount)
    ordered = sorted(wanted.values(), key=lambda mount: mount.destination.count("/"))
    return (*_default_mounts(host, wanted, machine, sandbox), *ordered, *_init(container, machine))


def _refuse_inside_proc(mount: Mount) -> None:
    """A volume that an image places in /proc could pass for the kernel (CVE-2019-16884)."""
    target = posixpath.normpath(mount.destination)
    if target == "/proc" and (mount.source + "/").startswith("/proc/"):
        return
    if (target + "/").startswith("/proc/") and target not in mountpoints.REPLACEABLE:
        raise Invalid(f'"{mount.destination}" cannot be mounted because it is inside /proc')


def _default_mounts(host: HostConfig, wanted: dict[str, Mount], machine: Machine, sandbox: Sandbox) -> Iterator[Mount]:
    writable_cgroups = host.privileged or security_options(host.security_opt).writable_cgroups
    for mount in defaults.MOUNTS:
        target = mount.destination
        if target in wanted or ("/dev" in wanted and target.startswith("/dev/")):
            continue
        if mount.type == "cgroup" and not machine.cgroups:
            continue  # there is none to show
        if machine.user_namespace and (target, host.pid_mode) == ("/proc", "host"):
            yield _bind(target, target)  # of a namespace that is not ours: it can be shown, not mounted anew
            continue
        if machine.user_namespace and (target, host.ipc_mode) == ("/dev/mqueue", "host"):
            continue  # likewise, and most hosts show it nowhere
        if target == "/dev/shm":
            if host.ipc_mode != "none":
                yield _shm(mount, host, sandbox)
        elif (target == "/sys" and host.privileged) or (target == "/sys/fs/cgroup" and writable_cgroups):
            yield _with_options(mount, tuple(word for word in mount.options if word != "ro"))
        else:
            yield mount


def _shm(mount: Mount, host: HostConfig, sandbox: Sandbox) -> Mount:
    """A tmpfs of the container's own, or the one it shares."""
    if sandbox.shm:
        flags = tuple(word for word in mount.options if "=" not in word)
        return _bind(sandbox.shm, mount.destination, () if host.ipc_mode == "host" else flags)
    return _with_options(mount, (*mount.options, f"size={host.shm_size or defaults.SHM_SIZE}"))


def _user_mounts(container: Container, machine: Machine, sandbox: Sandbox) -> Iterator[Mount]:
    """Files of the engine's, then `--tmpfs`, then mounts decided at create: of two on one target the later wins."""
    readonly = container.host.readonly_rootfs
    for target, source in sandbox.files.items():
        bind = _bind(source, target, ("ro",) if readonly else (), recursive=False)
        yield _idmapped(bind, "idmap") if container.id_maps else bind
    for target, options in container.host.tmpfs.items():
        yield _tmpfs(target, options.split(",") if options else [])
    for point in container.mounts:
        yield _of_point(point, machine)


def _of_point(point: MountPoint, machine: Machine) -> Mount:
    if point.type == "tmpfs":
        return _tmpfs(point.destination, _tmpfs_request(point.request, point.read_write))
    request = point.request or MountRequest("bind", point.destination)
    access = () if point.read_write else (_readonly_word(request, machine),)
    bind = _bind(point.source, point.destination, access, point.propagation, recursive=not request.non_recursive)
    return _idmapped(bind, point.idmap) if point.idmap else bind


def _idmapped(bind: Mount, text: str) -> Mount:
    """With the owners of its files shown as the container's user namespace has them, or as `text` says."""
    maps = id_maps.parse_mount(text)
    users, groups = (spec_linux.mappings(ranges) for ranges in (maps or ((), ())))
    return bind.replace(options=(*bind.options, text.partition("=")[0]), uid_mappings=users, gid_mappings=groups)


def _readonly_word(request: MountRequest, machine: Machine) -> str:
    """Read-only reaches the mounts below the source too (since Docker 25), where the kernel can do that."""
    if request.read_only_force_recursive and not machine.recursive_readonly:
        raise Invalid(f"mount {request.source} on {request.target}: this kernel cannot make mounts below it read-only")
    recursive = machine.recursive_readonly and not request.read_only_non_recursive and not request.non_recursive
    return "rro" if recursive else "ro"


def _bind(source: str, target: str, access: tuple[str, ...] = (), propagation: str = "", *, recursive: bool = True) -> Mount:
    if propagation and propagation not in PROPAGATION:
        raise Invalid(f"invalid propagation mode: {propagation}")
    return Mount(target, "bind", source, ("rbind" if recursive else "bind", *access, propagation or "rprivate"))


def _tmpfs(target: str, options: Iterable[str]) -> Mount:
    return Mount(posixpath.normpath(target), "tmpfs", "tmpfs", _merged(("noexec", "nosuid", "nodev", *options)))


def _tmpfs_request(request: MountRequest | None, read_write: bool) -> Iterator[str]:
    """`--mount type=tmpfs,...` as options."""
    if not read_write:
        yield "ro"
    if request is not None:
        if request.tmpfs_mode:
            yield f"mode={request.tmpfs_mode:o}"
        if request.tmpfs_size:
            yield f"size={request.tmpfs_size}"
        for option in request.tmpfs_options:
            yield "=".join(option)


def _merged(options: Iterable[str]) -> tuple[str, ...]:
    """Without those that a later one overrules; Docker's list of what a tmpfs may be asked for."""
    kept: dict[str, str] = {}
    for option in options:
        key, is_pair, _ = option.partition("=")
        if (key not in _TMPFS_KEYS) if is_pair else (key not in _TMPFS_FLAGS):
            raise Invalid(f"invalid tmpfs option {option!r}")
        kept.pop(_OPPOSITES.get(option, ""), None)
        kept.pop(key, None)
        kept[key] = option
    return tuple(kept.values())


def _init(container: Container, machine: Machine) -> tuple[Mount, ...]:
    return (_bind(machine.init, defaults.INIT_INSIDE, ("ro",), recursive=False),) if wants_init(container, machine) else ()


def wants_init(container: Container, machine: Machine) -> bool:
    """Whether an init is to be process 1; in a pid namespace that is not the container's own there is one already."""
    wanted = container.host.resources.init
    private = container.host.pid_mode in ("", "private")
    return private and (machine.init_by_default if wanted is None else wanted)


def _with_options(mount: Mount, options: tuple[str, ...]) -> Mount:
    return Mount(mount.destination, mount.type, mount.source, options)
