"""`linux` of the OCI runtime configuration: namespaces, devices, system call filter and what else only Linux has.

Source: runtime-spec config-linux.md.
"""

from __future__ import annotations

from firkin.oci.runtime_resources import Resources
from firkin.oci.runtime_value import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_value import Int64, UInt32, UInt64


class Namespace(Value):
    """A new namespace, or with `path` one that exists. `type`: pid, network, mount, ipc, uts, user, cgroup or time."""

    type: str
    path: str = ""


class IDMapping(Value):
    container_id: UInt32
    host_id: UInt32
    size: UInt32


class Device(Value):
    """A node to make. `type` is one of c, b, u, p; `file_mode` holds permission bits only."""

    path: str
    type: str
    major: Int64 = 0
    minor: Int64 = 0
    file_mode: UInt32 | None = None
    uid: UInt32 = 0
    gid: UInt32 = 0


class NetDevice(Value):
    """An interface of the host that moves into the container, renamed if `name` is given."""

    name: str = ""


class TimeOffset(Value):
    secs: Int64 = 0
    nanosecs: UInt32 = 0


class TimeOffsets(Value):
    """Of a new time namespace; time_namespaces(7)."""

    boottime: TimeOffset | None = None
    monotonic: TimeOffset | None = None


class Personality(Value):
    domain: str  # LINUX or LINUX32
    flags: tuple[str, ...] = ()


class IntelRdt(Value):
    """Cache and memory bandwidth of a resctrl group."""

    clos_id: str = ""
    schemata: tuple[str, ...] = ()
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_monitoring: bool = False


class MemoryPolicy(Value):
    """set_mempolicy(2)."""

    mode: str = ""
    nodes: str = ""
    flags: tuple[str, ...] = ()


class SeccompArg(Value):
    """A condition on argument `index`; with SCMP_CMP_MASKED_EQ: argument & value == value_two."""

    index: UInt32
    value: UInt64
    op: str
    value_two: UInt64 = 0


class SeccompRule(Value):
    """`action` for system calls of these names for which all `args` hold."""

    names: tuple[str, ...]
    action: str
    errno_ret: UInt32 | None = None
    args: tuple[SeccompArg, ...] = ()


class Seccomp(Value):
    default_action: str
    default_errno_ret: UInt32 | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[SeccompRule, ...] = ()


class Linux(Value):
    """Paths in `masked_paths` cannot be read inside, those in `readonly_paths` not be written."""

    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IDMapping, ...] = ()
    gid_mappings: tuple[IDMapping, ...] = ()
    time_offsets: TimeOffsets | None = None
    devices: tuple[Device, ...] = ()
    net_devices: dict[str, NetDevice] = EMPTY
    cgroups_path: str = ""
    resources: Resources | None = None
    rootfs_propagation: str = ""
    seccomp: Seccomp | None = None
    sysctl: dict[str, str] = EMPTY
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    mount_label: str = ""
    intel_rdt: IntelRdt | None = None
    memory_policy: MemoryPolicy | None = None
    personality: Personality | None = None
