"""The engine's own nouns: what a client asks for, and what a container is at one moment.

Values only, no behaviour: frozen dataclasses in the field's own terms (Docker Engine API, with its CamelCase left at
the edge). Front ends build requests from these and read records back; `storage.records` writes records as JSON with
exactly these names. Sizes are bytes, times are nanoseconds since the epoch unless a name says otherwise, and an empty
value (`""`, `0`, `()`) means what it means to Docker: not given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


# --- what a client asks for ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Healthcheck:
    """Docker's `HealthConfig`; durations in nanoseconds."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


@dataclass(frozen=True)
class ContainerConfig:
    """The portable half of a container's configuration; an image carries one too."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = True
    attach_stderr: bool = True
    exposed_ports: tuple[str, ...] = ()  # "80/tcp"
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: tuple[str, ...] = ()  # "KEY=value", or "KEY" to remove it
    cmd: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: tuple[str, ...] = ()  # container paths
    working_dir: str = ""
    entrypoint: tuple[str, ...] | None = None  # None: the image's; ("",): none
    network_disabled: bool = False
    mac_address: str = ""
    on_build: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None  # seconds
    shell: tuple[str, ...] = ()


@dataclass(frozen=True)
class PortBinding:
    host_ip: str = ""
    host_port: str = ""  # "", "8080" or "8000-8010"


@dataclass(frozen=True)
class LogConfig:
    type: str = ""  # "", "json-file", "none", "local"
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RestartPolicy:
    name: str = ""  # "", "no", "always", "unless-stopped", "on-failure"
    maximum_retry_count: int = 0


@dataclass(frozen=True)
class DeviceMapping:
    path_on_host: str
    path_in_container: str = ""
    cgroup_permissions: str = "rwm"


@dataclass(frozen=True)
class ThrottleDevice:
    path: str
    rate: int


@dataclass(frozen=True)
class WeightDevice:
    path: str
    weight: int


@dataclass(frozen=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class MountRequest:
    """One entry of Docker's `HostConfig.Mounts` (`--mount`)."""

    type: Literal["bind", "volume", "tmpfs", "image", "npipe", "cluster"]
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    # bind
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    idmap: str = ""  # "idmap", "ridmap", or "idmap=uids=...;gids=..."
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False
    # volume
    no_copy: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    driver: str = ""
    driver_options: dict[str, str] = field(default_factory=dict)
    subpath: str = ""
    # tmpfs
    tmpfs_size: int = 0
    tmpfs_mode: int = 0
    tmpfs_options: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Resources:
    """Docker's `Resources`: what the cgroup limits."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[WeightDevice, ...] = ()
    blkio_device_read_bps: tuple[ThrottleDevice, ...] = ()
    blkio_device_write_bps: tuple[ThrottleDevice, ...] = ()
    blkio_device_read_iops: tuple[ThrottleDevice, ...] = ()
    blkio_device_write_iops: tuple[ThrottleDevice, ...] = ()
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[DeviceMapping, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    device_requests: tuple[dict[str, Any], ...] = ()
    kernel_memory_tcp: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0  # memory + swap; -1 unlimited
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    init: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_conf: dict[str, str] = field(default_factory=dict)  # not Docker's: version 2 control file -> what to write


@dataclass(frozen=True)
class HostConfig:
    """The half of a container's configuration that belongs to this host."""

    resources: Resources = Resources()
    binds: tuple[str, ...] = ()
    container_id_file: str = ""
    log_config: LogConfig = LogConfig()
    network_mode: str = ""  # "", "default", "bridge", "none", "host", "container:X" or a network's name
    port_bindings: dict[str, tuple[PortBinding, ...]] = field(default_factory=dict)
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: tuple[str, ...] = ()
    mounts: tuple[MountRequest, ...] = ()
    console_size: tuple[int, int] = (0, 0)  # height, width
    annotations: dict[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroupns_mode: str = ""
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    ipc_mode: str = ""
    cgroup: str = ""
    links: tuple[str, ...] = ()
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: tuple[str, ...] = ()
    storage_opt: dict[str, str] = field(default_factory=dict)
    tmpfs: dict[str, str] = field(default_factory=dict)
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] = field(default_factory=dict)
    runtime: str = ""
    isolation: str = ""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None


@dataclass(frozen=True)
class EndpointRequest:
    """What a client wants of a container's connection to one network (Docker's `EndpointSettings`, request half)."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    mac_address: str = ""
    aliases: tuple[str, ...] = ()
    driver_opts: dict[str, str] = field(default_factory=dict)
    gw_priority: int = 0


@dataclass(frozen=True)
class CreateRequest:
    """`POST /containers/create` as a value. `name` is "" for a random one."""

    config: ContainerConfig
    host: HostConfig = HostConfig()
    endpoints: dict[str, EndpointRequest] = field(default_factory=dict)
    name: str = ""
    platform: str = ""


@dataclass(frozen=True)
class Created:
    id: str
    warnings: tuple[str, ...] = ()


# --- what a container is -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Endpoint:
    """One container on one network, addresses in effect (empty while it is not running)."""

    network_name: str
    network_id: str
    request: EndpointRequest = EndpointRequest()
    endpoint_id: str = ""
    gateway: str = ""
    ip_address: str = ""
    ip_prefix_len: int = 0
    ipv6_gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_len: int = 0
    mac_address: str = ""
    interface: str = ""  # name inside the container: "eth0"
    host_interface: str = ""  # the veth's other end on the host
    dns_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class IdMaps:
    """What the ids in a user namespace stand for: ranges (first id inside, first id outside, how many)."""

    users: tuple[tuple[int, int, int], ...]
    groups: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class MountPoint:
    """A mount as decided at create: Docker's `MountPoint`. `source` is the host path that gets mounted."""

    type: str
    source: str
    destination: str
    name: str = ""  # of the volume
    driver: str = ""
    mode: str = ""
    read_write: bool = True
    propagation: str = ""
    idmap: str = ""  # as in `MountRequest`
    request: MountRequest | None = None


@dataclass(frozen=True)
class State:
    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0


@dataclass(frozen=True)
class HealthResult:
    """One probe of a container's health check; times in nanoseconds."""

    start: int
    end: int
    exit_code: int
    output: str


@dataclass(frozen=True)
class Container:
    """The record of one container: what is stored, what `inspect` shows. Replaced, never mutated."""

    id: str
    name: str
    created: int
    config: ContainerConfig  # image's and client's, merged
    host: HostConfig  # defaults filled in
    image_id: str  # "sha256:..."; the config's digest
    path: str  # what is executed, and with what
    args: tuple[str, ...]
    state: State = State()
    restart_count: int = 0
    manually_stopped: bool = False
    platform: str = "linux"
    mounts: tuple[MountPoint, ...] = ()
    endpoints: dict[str, Endpoint] = field(default_factory=dict)  # by network name
    ports: dict[str, tuple[PortBinding, ...]] = field(default_factory=dict)  # in effect: "80/tcp" -> host address, port
    seccomp_profile: str = ""
    no_new_privileges: bool = False
    image_manifest_digest: str = ""
    id_maps: IdMaps | None = None  # of its user namespace; of one that is down, the last
    health: str = ""  # "", "starting", "healthy", "unhealthy"
    health_failures: int = 0  # in a row
    health_log: tuple[HealthResult, ...] = ()  # the last five probes


# --- verbs' own requests and answers -------------------------------------------------------------------------------
@dataclass(frozen=True)
class ExecRequest:
    """`POST /containers/{id}/exec` as a value."""

    cmd: tuple[str, ...]
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    tty: bool = False
    detach_keys: str = ""
    env: tuple[str, ...] = ()
    privileged: bool = False
    user: str = ""
    working_dir: str = ""
    console_size: tuple[int, int] = (0, 0)  # height, width


@dataclass(frozen=True)
class Exec:
    """One exec session as `GET /exec/{id}/json` shows it."""

    id: str
    container_id: str
    request: ExecRequest
    running: bool = False
    exit_code: int | None = None
    pid: int = 0


@dataclass(frozen=True)
class AttachRequest:
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    stream: bool = False
    logs: bool = False
    detach_keys: str = ""


@dataclass(frozen=True)
class LogRequest:
    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    since: int = 0  # ns
    until: int = 0  # ns
    tail: int | None = None  # lines; None for all


@dataclass(frozen=True)
class LogEntry:
    stream: Literal["stdout", "stderr"]
    time: int  # ns
    data: bytes  # one line with its newline, or part of a line that was too long
    attributes: dict[str, str] = field(default_factory=dict)  # what the log options chose to have written beside it


@dataclass(frozen=True)
class WaitResult:
    status_code: int
    error: str = ""


@dataclass(frozen=True)
class Event:
    """One entry of `GET /events`. `attributes` are the actor's labels and `name`, `image`, `exitCode`, ..."""

    type: str  # "container", "image", "network", "volume"
    action: str
    actor_id: str
    attributes: dict[str, str]
    time: int  # ns


@dataclass(frozen=True)
class InterfaceStats:
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


@dataclass(frozen=True)
class IoCount:
    """One row of block I/O accounting: `operation` is "read", "write", "sync", "async", "discard" or "total"."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True)
class Stats:
    """One sample of a container's accounts; CPU times in nanoseconds, `system_cpu` that of the whole host."""

    time: int
    online_cpus: int
    system_cpu: int
    cpu_total: int = 0
    cpu_user: int = 0
    cpu_kernel: int = 0
    cpu_each: tuple[int, ...] = ()  # empty on cgroup version 2
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    memory_usage: int = 0
    memory_max: int = 0
    memory_limit: int = 0
    memory_failures: int = 0
    memory_detail: dict[str, int] = field(default_factory=dict)
    pids_current: int = 0
    pids_limit: int = 0
    io_bytes: tuple[IoCount, ...] = ()
    io_operations: tuple[IoCount, ...] = ()
    interfaces: dict[str, InterfaceStats] = field(default_factory=dict)
    pressure: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # see linux.pressure; by kind
