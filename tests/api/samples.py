"""Records as the engine makes them, with as many members set as one container can have."""

from __future__ import annotations

from firkin.model import (
    Container,
    ContainerConfig,
    DeviceMapping,
    Endpoint,
    EndpointRequest,
    Healthcheck,
    HealthResult,
    HostConfig,
    InterfaceStats,
    IoCount,
    LogConfig,
    MountPoint,
    MountRequest,
    PortBinding,
    Resources,
    RestartPolicy,
    State,
    Stats,
    ThrottleDevice,
    Ulimit,
)

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
ID = "0123456789abcdef" * 4
IMAGE_ID = "sha256:" + "f0" * 32
NETWORK_ID = "9a" * 32

CONFIG = ContainerConfig(
    hostname="0123456789ab",
    user="1000:1000",
    attach_stdin=True,
    exposed_ports=("80/tcp", "53/udp", "9000/tcp"),
    open_stdin=True,
    stdin_once=True,
    env=("PATH=/usr/bin", "A=1"),
    cmd=("-c", "echo it's 'me'"),
    healthcheck=Healthcheck(("CMD-SHELL", "true"), SECOND, SECOND, 2, SECOND, SECOND),
    image="web:1",
    volumes=("/anonymous",),
    working_dir="/srv",
    entrypoint=("/bin/sh",),
    labels={"tier": "front"},
    stop_signal="SIGINT",
    stop_timeout=0,
)
HOST = HostConfig(
    resources=Resources(
        memory=64 << 20,
        nano_cpus=1_500_000_000,
        blkio_device_read_bps=(ThrottleDevice("/dev/null", 1 << 20),),
        devices=(DeviceMapping("/dev/fuse", "/dev/fuse", "rw"),),
        init=False,
        pids_limit=100,
        ulimits=(Ulimit("nofile", 1024, 2048),),
    ),
    binds=("/etc:/e:ro",),
    log_config=LogConfig("json-file", {"max-size": "1m"}),
    network_mode="front",
    port_bindings={"80/tcp": (PortBinding("", "8080"),), "9000/tcp": ()},
    restart_policy=RestartPolicy("on-failure", 3),
    mounts=(
        MountRequest("tmpfs", "/t", tmpfs_size=1 << 20, tmpfs_mode=0o1777),
        MountRequest("bind", "/b", "/srv", read_only=True, propagation="rslave"),
        MountRequest("volume", "/v", "data", no_copy=True, labels={"a": "b"}, driver="local", driver_options={"type": "tmpfs"}),
    ),
    annotations={"k": "v"},
    cgroupns_mode="private",
    ipc_mode="private",
    shm_size=64 << 20,
    tmpfs={"/run": ""},
    masked_paths=("/proc/kcore",),
    readonly_paths=("/proc/sys",),
)
RUNNING = Container(
    id=ID,
    name="web",
    created=NOW,
    config=CONFIG,
    host=HOST,
    image_id=IMAGE_ID,
    path="/bin/sh",
    args=("-c", "echo it's 'me'"),
    state=State("running", pid=4711, started_at=NOW + 5 * SECOND + 120_000_000),
    mounts=(
        MountPoint("volume", "/var/lib/firkin/volumes/data/_data", "/v", name="data", driver="local", mode="z"),
        MountPoint("bind", "/etc", "/e", mode="ro", read_write=False, propagation="rprivate"),
    ),
    endpoints={
        "front": Endpoint(
            "front",
            NETWORK_ID,
            EndpointRequest(ipv4_address="10.1.0.9", aliases=("www",)),
            endpoint_id="cd" * 32,
            gateway="10.1.0.1",
            ip_address="10.1.0.9",
            ip_prefix_len=16,
            mac_address="02:42:0a:01:00:09",
            interface="eth0",
            dns_names=("web", "www", "0123456789ab"),
        )
    },
    ports={"80/tcp": (PortBinding("0.0.0.0", "8080"), PortBinding("::", "8080"))},
    health="healthy",
    health_log=(HealthResult(NOW, NOW + SECOND, 0, "fine\n"),),
)
CREATED = Container(
    ID[::-1],
    "idle",
    NOW,
    ContainerConfig(image="web:1"),
    HostConfig(log_config=LogConfig("json-file"), cgroupns_mode="private"),
    IMAGE_ID,
    "true",
    (),
)

STATS = Stats(
    NOW,
    2,
    9_000_000,
    cpu_total=5_000,
    cpu_user=3_000,
    cpu_kernel=2_000,
    cpu_each=(2_500, 2_500),
    memory_usage=1 << 20,
    memory_max=2 << 20,
    memory_limit=64 << 20,
    memory_failures=1,
    memory_detail={"cache": 4096},
    pids_current=3,
    pids_limit=100,
    io_bytes=(IoCount(8, 0, "read", 4096),),
    interfaces={"eth0": InterfaceStats(rx_bytes=100, tx_packets=2)},
)
