"""What a container gets when nobody asks for anything else: Docker's defaults, as constants.

Source: moby's daemon/pkg/oci (defaults.go, caps/defaults.go) and runc's libcontainer/specconv; each list in its order,
for `inspect` and `/proc/self/mounts` show it.
"""

from __future__ import annotations

from firkin.oci.runtime_config import Mount
from firkin.oci.runtime_linux import Device
from firkin.oci.runtime_resources import DeviceRule

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_INSIDE = "/sbin/docker-init"
SHM_SIZE = 64 << 20

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",  # timing side channel, GHSA-6fw5-f8r9-fgfm
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",  # power side channel, GHSA-jq35-85cj-fj4p
    "/sys/firmware",
)

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_HARDENED = ("nosuid", "noexec", "nodev")

MOUNTS = (
    Mount("/proc", "proc", "proc", _HARDENED),
    Mount("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    Mount("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    Mount("/sys", "sysfs", "sysfs", (*_HARDENED, "ro")),
    Mount("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", *_HARDENED)),
    Mount("/dev/mqueue", "mqueue", "mqueue", _HARDENED),
    Mount("/dev/shm", "tmpfs", "shm", (*_HARDENED, "mode=1777")),
)

# Nodes every container's /dev holds, whatever its configuration lists (runtime-spec config-linux.md, "Default Devices").
DEVICES = (
    Device("/dev/null", "c", 1, 3, 0o666),
    Device("/dev/zero", "c", 1, 5, 0o666),
    Device("/dev/full", "c", 1, 7, 0o666),
    Device("/dev/random", "c", 1, 8, 0o666),
    Device("/dev/urandom", "c", 1, 9, 0o666),
    Device("/dev/tty", "c", 5, 0, 0o666),
)

DEVICE_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
)

# What a runtime lets any container do, whatever its configuration lists: make nodes, use the default ones, terminals, tun.
RUNTIME_DEVICE_RULES = (
    DeviceRule(True, "c", None, None, "m"),
    DeviceRule(True, "b", None, None, "m"),
    DeviceRule(True, "c", 1, 3, "rwm"),
    DeviceRule(True, "c", 1, 5, "rwm"),
    DeviceRule(True, "c", 1, 7, "rwm"),
    DeviceRule(True, "c", 1, 8, "rwm"),
    DeviceRule(True, "c", 1, 9, "rwm"),
    DeviceRule(True, "c", 5, 0, "rwm"),
    DeviceRule(True, "c", 5, 2, "rwm"),
    DeviceRule(True, "c", 136, None, "rwm"),
    DeviceRule(True, "c", 10, 200, "rwm"),
)

# In order, the last match decides: nothing else may be opened.
DEVICE_RULES = (DeviceRule(False, access="rwm"), *RUNTIME_DEVICE_RULES, DeviceRule(True, "c", 5, 1, "rwm"))

# Safe because the container's capabilities allow both anyhow: ping without CAP_NET_RAW, ports under 1024 without
# CAP_NET_BIND_SERVICE. Only in a network namespace of its own.
PING_GROUPS = "net.ipv4.ping_group_range"
NETWORK_SYSCTLS = {
    PING_GROUPS: "0 2147483647",
    "net.ipv4.ip_unprivileged_port_start": "0",
}
