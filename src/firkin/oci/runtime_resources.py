"""`linux.resources` of the OCI runtime configuration: what the cgroup limits.

None means "leave as it is"; sizes are bytes, times microseconds.
Source: runtime-spec config-linux.md, "Control groups".
"""

from __future__ import annotations

from firkin.oci.runtime_value import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_value import Int64, UInt16, UInt32, UInt64


class DeviceRule(Value):
    """`type` "a", "b" or "c" ("" is "a"); a number not given matches any; `access` of the letters rwm."""

    allow: bool
    type: str = ""
    major: Int64 | None = None
    minor: Int64 | None = None
    access: str = ""


class Memory(Value):
    """`swap` is memory and swap together; -1 is without limit."""

    limit: Int64 | None = None
    reservation: Int64 | None = None
    swap: Int64 | None = None
    kernel: Int64 | None = None
    kernel_tcp: Int64 | None = None
    swappiness: UInt64 | None = None
    disable_oom_killer: bool | None = None
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class CPU(Value):
    shares: UInt64 | None = None
    quota: Int64 | None = None
    burst: UInt64 | None = None
    period: UInt64 | None = None
    realtime_runtime: Int64 | None = None
    realtime_period: UInt64 | None = None
    cpus: str = ""
    mems: str = ""
    idle: Int64 | None = None


class Pids(Value):
    """At most `limit` tasks; -1 is without limit."""

    limit: Int64


class WeightDevice(Value):
    major: Int64
    minor: Int64
    weight: UInt16 | None = None
    leaf_weight: UInt16 | None = None


class ThrottleDevice(Value):
    """`rate` in bytes or operations a second."""

    major: Int64
    minor: Int64
    rate: UInt64


class BlockIO(Value):
    weight: UInt16 | None = None
    leaf_weight: UInt16 | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = ()


class HugepageLimit(Value):
    page_size: str  # "2MB"
    limit: UInt64


class NetworkPriority(Value):
    name: str
    priority: UInt32


class Network(Value):
    class_id: UInt32 | None = None
    priorities: tuple[NetworkPriority, ...] = ()


class Rdma(Value):
    hca_handles: UInt32 | None = None
    hca_objects: UInt32 | None = None


class Resources(Value):
    """`unified` holds version 2 control files by name."""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: CPU | None = None
    pids: Pids | None = None
    block_io: BlockIO | None = None
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: Network | None = None
    rdma: dict[str, Rdma] = EMPTY
    unified: dict[str, str] = EMPTY
