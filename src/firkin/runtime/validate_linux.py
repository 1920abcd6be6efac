"""`linux` of an OCI configuration: namespaces and what needs them, devices, kernel parameters. Part of `validate`.

Source: runtime-spec config-linux.md; runc libcontainer/configs/validate (sysctl), namespaces(7).
"""

from __future__ import annotations

import os

from firkin.errors import Invalid
from firkin.linux import scheduling
from firkin.oci import number_list
from firkin.runtime.mount_options import PROPAGATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_linux import Device, IDMapping, IntelRdt, Linux, MemoryPolicy, Namespace

_KINDS = ("mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time")
_DOMAINS = ("LINUX", "LINUX32")
_LONGEST_INTERFACE = 15
_IDS = 1 << 32
_MAJORS, _MINORS = 1 << 12, 1 << 20
_IPC_PARAMETERS = frozenset(("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"))
_OWN_NETWORK = "/proc/self/ns/net"
_SWAPPED = str.maketrans("./", "/.")
_WITHOUT_NODES, _WITH_NODES = (
    ("MPOL_DEFAULT", "MPOL_LOCAL"),
    ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY"),
)


def validate(linux: Linux) -> None:
    kinds = _namespaces(linux.namespaces)
    _mappings(linux, kinds)
    _clocks(linux, kinds)
    for index, device in enumerate(linux.devices):
        _device(f"linux.devices[{index}]", device)
    _interfaces(linux, kinds)
    if linux.rootfs_propagation and linux.rootfs_propagation not in PROPAGATION:
        raise Invalid(f"linux.rootfsPropagation: unknown propagation {linux.rootfs_propagation!r}")
    for field, paths in (("maskedPaths", linux.masked_paths), ("readonlyPaths", linux.readonly_paths)):
        for index, path in enumerate(paths):
            if not path.startswith("/") or "\0" in path:
                raise Invalid(f"linux.{field}[{index}]: must be an absolute path, got {path!r}")
        if paths and "mount" not in kinds:
            raise Invalid(f"linux.{field}: unable to hide anything without a private mount namespace")
    for name in linux.sysctl:
        _parameter(name, kinds)
    _personality(linux)
    if linux.intel_rdt:
        _cache(linux.intel_rdt)
    if linux.memory_policy:
        _memory(linux.memory_policy)


def _namespaces(namespaces: tuple[Namespace, ...]) -> dict[str, str]:
    """Kind -> path."""
    kinds: dict[str, str] = {}
    for index, one in enumerate(namespaces):
        field = f"linux.namespaces[{index}]"
        if one.type not in _KINDS:
            raise Invalid(f"{field}.type: unknown namespace {one.type!r}")
        if one.type in kinds:
            raise Invalid(f"{field}.type: {one.type} is there twice")
        if one.path and (not one.path.startswith("/") or "\0" in one.path):
            raise Invalid(f"{field}.path: must be an absolute path, got {one.path!r}")
        kinds[one.type] = one.path
    return kinds


def _mappings(linux: Linux, kinds: dict[str, str]) -> None:
    for field, mappings in (("uidMappings", linux.uid_mappings), ("gidMappings", linux.gid_mappings)):
        if mappings and "user" not in kinds:
            raise Invalid(f"linux.{field}: user namespace mappings without a user namespace")
        if not mappings and kinds.get("user") == "":
            raise Invalid(f"linux.{field}: required with a new user namespace, and not given")
        for index, one in enumerate(mappings):
            _mapping(f"linux.{field}[{index}]", one)


def _mapping(field: str, one: IDMapping) -> None:
    if not one.size:
        raise Invalid(f"{field}.size: must be greater than zero")
    if max(one.container_id, one.host_id) + one.size > _IDS:
        raise Invalid(f"{field}.size: there are not so many ids")


def _clocks(linux: Linux, kinds: dict[str, str]) -> None:
    offsets = linux.time_offsets
    if offsets is None:
        return
    if "time" not in kinds:
        raise Invalid("linux.timeOffsets: without a time namespace")
    if kinds["time"]:
        raise Invalid("linux.timeOffsets: a time namespace that exists has its own")
    for word, offset in (("monotonic", offsets.monotonic), ("boottime", offsets.boottime)):
        if offset and offset.nanosecs >= 1_000_000_000:
            raise Invalid(f"linux.timeOffsets.{word}.nanosecs: want less than a second, got {offset.nanosecs}")


def _device(field: str, one: Device) -> None:
    if not one.path.startswith("/") or "\0" in one.path:
        raise Invalid(f"{field}.path: must be an absolute path, got {one.path!r}")
    if one.type not in ("c", "b", "u", "p"):
        raise Invalid(f"{field}.type: want one of c, b, u, p, got {one.type!r}")
    for word, number, limit in (("major", one.major, _MAJORS), ("minor", one.minor, _MINORS)):
        if one.type != "p" and word not in vars(one):
            raise Invalid(f"{field}.{word}: required, and not given")
        if not 0 <= number < limit:
            raise Invalid(f"{field}.{word}: want 0 to {limit - 1}, got {number}")


def _interfaces(linux: Linux, kinds: dict[str, str]) -> None:
    if linux.net_devices and "network" not in kinds:
        raise Invalid("linux.netDevices: unable to move network devices without a network namespace")
    for name, device in linux.net_devices.items():
        if not _is_interface(name):
            raise Invalid(f"linux.netDevices: invalid network device name {name!r}")
        if device.name and not _is_interface(device.name):
            raise Invalid(f"linux.netDevices.{name}.name: invalid network device name {device.name!r}")


def _is_interface(name: str) -> bool:
    """As the kernel's dev_valid_name has it, and ASCII."""
    return (
        0 < len(name) <= _LONGEST_INTERFACE and name not in (".", "..") and name.isascii() and not set(name) & set("/: \t\n\0")
    )


def _parameter(name: str, kinds: dict[str, str]) -> None:
    """Only what belongs to a namespace of the container's own: all else would change the host."""
    dotted = name.translate(_SWAPPED) if "/" in name.partition(".")[0] else name
    area, _, rest = dotted.partition(".")
    field = f"linux.sysctl.{name}"
    if (area == "kernel" and rest in _IPC_PARAMETERS) or dotted.startswith("fs.mqueue."):
        allowed, kind = "ipc" in kinds, "ipc"
    elif area == "net":
        allowed, kind = _own_network(kinds), "network"
    elif area == "user":
        allowed, kind = "user" in kinds, "user"
    elif dotted == "kernel.domainname":
        allowed, kind = "uts" in kinds, "uts"
    else:
        hint = ": there is the field hostname for it" if dotted == "kernel.hostname" else ""
        raise Invalid(f"{field}: not in a separate kernel namespace{hint}")
    if not allowed:
        raise Invalid(f"{field}: not allowed in the host's {kind} namespace")


def _own_network(kinds: dict[str, str]) -> bool:
    path = kinds.get("network")
    if not path:
        return path is not None
    try:
        own, joined = os.stat(_OWN_NETWORK), os.stat(path)
    except OSError:  # whoever opens it will say so
        return True
    return (own.st_dev, own.st_ino) != (joined.st_dev, joined.st_ino)


def _personality(linux: Linux) -> None:
    wanted = linux.personality
    if wanted and wanted.domain not in _DOMAINS:
        raise Invalid(f"linux.personality.domain: want LINUX or LINUX32, got {wanted.domain!r}")
    if wanted and wanted.flags:
        raise Invalid("linux.personality.flags: none are defined")


def _cache(wanted: IntelRdt) -> None:
    if wanted.clos_id in (".", "..") or "\0" in wanted.clos_id or (len(wanted.clos_id) > 1 and "/" in wanted.clos_id):
        raise Invalid(f"linux.intelRdt.closID: invalid name {wanted.clos_id!r}")
    if wanted.mem_bw_schema and not wanted.mem_bw_schema.startswith("MB:"):
        raise Invalid(f"linux.intelRdt.memBwSchema: must begin with MB:, got {wanted.mem_bw_schema!r}")
    lines = [("l3CacheSchema", wanted.l3_cache_schema), ("memBwSchema", wanted.mem_bw_schema)]
    lines += [(f"schemata[{index}]", line) for index, line in enumerate(wanted.schemata)]
    for word, line in lines:
        if "\n" in line:
            raise Invalid(f"linux.intelRdt.{word}: must not contain a newline")


def _memory(wanted: MemoryPolicy) -> None:
    if wanted.mode not in scheduling.MEMORY_MODES:
        raise Invalid(f"linux.memoryPolicy.mode: unknown mode {wanted.mode!r}")
    for index, flag in enumerate(wanted.flags):
        if flag not in scheduling.MEMORY_FLAGS:
            raise Invalid(f"linux.memoryPolicy.flags[{index}]: unknown flag {flag!r}")
    nodes = number_list.parse(wanted.nodes, "linux.memoryPolicy.nodes")
    if nodes and wanted.mode in _WITHOUT_NODES:
        raise Invalid(f"linux.memoryPolicy.nodes: {wanted.mode} has none")
    if not nodes and wanted.mode in _WITH_NODES:
        raise Invalid(f"linux.memoryPolicy.nodes: {wanted.mode} needs at least one")
