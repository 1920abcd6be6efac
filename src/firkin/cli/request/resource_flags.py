"""The flags that limit a container's resources or give it devices; `update` takes those that can change while it runs."""

from __future__ import annotations

from firkin.cli.flags import Flag

# Changeable while the container runs
LIMITS = (
    Flag(
        "blkio-weight",
        "",
        "uint16",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable",
        "HostConfig.BlkioWeight",
        default="0",
    ),
    Flag("cgroup-conf", "", "map", "Write VALUE to the cgroup v2 file KEY (KEY=VALUE)", "HostConfig.CgroupConf"),
    Flag("cpu-period", "", "int", "Limit CPU CFS (Completely Fair Scheduler) period", "HostConfig.CpuPeriod"),
    Flag("cpu-quota", "", "int", "Limit CPU CFS (Completely Fair Scheduler) quota", "HostConfig.CpuQuota"),
    Flag("cpu-rt-period", "", "int", "Limit CPU real-time period in microseconds", "HostConfig.CpuRealtimePeriod"),
    Flag("cpu-rt-runtime", "", "int", "Limit CPU real-time runtime in microseconds", "HostConfig.CpuRealtimeRuntime"),
    Flag("cpu-shares", "c", "int", "CPU shares (relative weight)", "HostConfig.CpuShares"),
    Flag("cpuset-cpus", "", "string", "CPUs in which to allow execution (0-3, 0,1)", "HostConfig.CpusetCpus"),
    Flag("cpuset-mems", "", "string", "MEMs in which to allow execution (0-3, 0,1)", "HostConfig.CpusetMems"),
    Flag("cpus", "", "decimal", "Number of CPUs", "HostConfig.NanoCpus"),
    Flag("memory", "m", "bytes", "Memory limit", "HostConfig.Memory"),
    Flag("memory-reservation", "", "bytes", "Memory soft limit", "HostConfig.MemoryReservation"),
    Flag(
        "memory-swap",
        "",
        "swap",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        "HostConfig.MemorySwap",
    ),
    Flag("pids-limit", "", "int", "Tune container pids limit (set -1 for unlimited)", "HostConfig.PidsLimit"),
)

RESOURCES = (
    *LIMITS,
    Flag("blkio-weight-device", "", "list", "Block IO weight (relative device weight)", default="[]"),
    Flag("cgroup-parent", "", "string", "Optional parent cgroup for the container", "HostConfig.CgroupParent"),
    Flag(
        "cgroupns",
        "",
        "string",
        """Cgroup namespace to use (host|private)
'host':    Run the container in the Docker host's cgroup namespace
'private': Run the container in its own private cgroup namespace
'':        Use the cgroup namespace as configured by the
           default-cgroupns-mode option on the daemon (default)""",
        "HostConfig.CgroupnsMode",
    ),
    Flag("cpu-count", "", "int", "CPU count (Windows only)", "HostConfig.CpuCount"),
    Flag("cpu-percent", "", "int", "CPU percent (Windows only)", "HostConfig.CpuPercent"),
    Flag("device", "", "list", "Add a host device to the container"),
    Flag("device-cgroup-rule", "", "list", "Add a rule to the cgroup allowed devices list", "HostConfig.DeviceCgroupRules"),
    Flag("device-read-bps", "", "list", "Limit read rate (bytes per second) from a device", default="[]"),
    Flag("device-read-iops", "", "list", "Limit read rate (IO per second) from a device", default="[]"),
    Flag("device-write-bps", "", "list", "Limit write rate (bytes per second) to a device", default="[]"),
    Flag("device-write-iops", "", "list", "Limit write rate (IO per second) to a device", default="[]"),
    Flag("gpus", "", "gpu-request", "GPU devices to add to the container ('all' to pass all GPUs)"),
    Flag(
        "io-maxbandwidth",
        "",
        "bytes",
        "Maximum IO bandwidth limit for the system drive (Windows only)",
        "HostConfig.IOMaximumBandwidth",
    ),
    Flag("io-maxiops", "", "int", "Maximum IOps limit for the system drive (Windows only)", "HostConfig.IOMaximumIOps"),
    Flag("kernel-memory", "", "bytes", "Kernel memory limit", "HostConfig.KernelMemory"),
    Flag(
        "memory-swappiness",
        "",
        "int",
        "Tune container memory swappiness (0 to 100)",
        "HostConfig.MemorySwappiness",
        default="-1",
    ),
    Flag("oom-kill-disable", "", "bool", "Disable OOM Killer", "HostConfig.OomKillDisable"),
    Flag("oom-score-adj", "", "int", "Tune host's OOM preferences (-1000 to 1000)", "HostConfig.OomScoreAdj"),
    Flag("shm-size", "", "bytes", "Size of /dev/shm", "HostConfig.ShmSize"),
    Flag("ulimit", "", "ulimit", "Ulimit options", "HostConfig.Ulimits", default="[]"),
)
