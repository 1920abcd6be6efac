"""Warnings: what a container was created or updated without, and what this machine lacks for any of them.

Nothing here refuses; what does is in `validate`. Texts are dockerd's where it has one.
Source: moby `daemon/daemon_unix.go` verifyPlatformContainerResources, `daemon/create.go`, `daemon/info_unix.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from firkin import paths
from firkin.engine.engine import Engine
from firkin.images.store import Image
from firkin.linux.cgroup import Cgroups
from firkin.linux.process import get_rlimit
from firkin.model import CreateRequest, HostConfig, Resources
from firkin.oci.platform import host_platform, serves
from firkin.runtime.plan_process import RLIMIT_NUMBERS

_LACKS = "Your kernel does not support"
_MOST_FILES, _FORWARDING = "/proc/sys/fs/nr_open", "/proc/sys/net/ipv4/ip_forward"
_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")
_MEMORY, _QUOTA = ("memory", (), "memory limit", "Limitation discarded"), ("cpu", (), "CPU cfs quota", "Quota discarded")
_WEIGHT = ("blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight")
_WEIGHTS = ("blkio.weight_device", "blkio.bfq.weight_device", *_WEIGHT[2:])
# limit asked for -> (controller and control files it needs one of, what dockerd calls the feature, what comes of it)
_NEEDS: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "memory": _MEMORY,
    "memory_reservation": ("memory", (), "memory soft limit capabilities", "Limitation discarded"),
    "nano_cpus": _QUOTA,
    "cpu_quota": _QUOTA,
    "cpu_shares": ("cpu", (), "CPU shares", "Shares discarded"),
    "cpuset_cpus": ("cpuset", (), "cpuset", "Cpuset discarded"),
    "cpuset_mems": ("cpuset", (), "cpuset", "Cpuset discarded"),
    "pids_limit": ("pids", (), "PIDs limit", "PIDs limit discarded"),
    "blkio_weight": ("blkio", _WEIGHT, "Block I/O weight", "Weight discarded"),
    "blkio_weight_device": ("blkio", _WEIGHTS, "Block I/O weight_device", "Weight-device discarded"),
}
_SUPPORT: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("memory", (), "memory limit"),
    ("memory", _SWAP, "swap limit"),
    ("cpu", ("cpu.cfs_quota_us", "cpu.max"), "cpu cfs quota"),
    ("cpu", (), "cpu shares"),
    ("cpuset", (), "cpuset"),
)
_UNSAFE = (
    "OOM killer is disabled for the container, but no memory limit is set, "
    "this can result in the system running out of resources."
)
_NO_PROFILE = "WARNING: AppArmor is on, but containers run unconfined by it: the daemon's log says why"
_NO_CGROUPS = (
    "WARNING: Running in rootless-mode without cgroups: limits on memory, processors and processes are not enforced, and there "
    "is no pause. `firkin rootless setup` says what is missing."
)


def of_container(engine: Engine, request: CreateRequest, host: HostConfig, image: Image) -> tuple[str, ...]:
    """Everything a client should know about a container that was created all the same; `host` has the defaults."""
    texts = [*_of_platform(request, image), *of_limits(engine.cgroups, host.resources), *_of_ulimits(engine, host)]
    if host.network_mode == "host" and host.port_bindings:
        texts.append("Published ports are discarded when using host network mode")
    return tuple(texts)


def of_limits(cgroups: Cgroups, limits: Resources) -> Iterator[str]:
    """One for each limit that this kernel cannot enforce."""
    for name, (controller, files, feature, loss) in _NEEDS.items():
        if getattr(limits, name) and not _has(cgroups, controller, files):
            yield f"{_LACKS} {feature} or the cgroup is not mounted. {loss}."
    if limits.memory > 0 and limits.memory_swap > 0 and cgroups.version("memory") and not limits_swap(cgroups):
        yield f"{_LACKS} swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
    if cgroups.version("memory") == 2:
        yield from _only_version_1(limits)
    elif limits.oom_kill_disable and not limits.memory:
        yield _UNSAFE


def of_machine(engine: Engine) -> Iterator[str]:
    """What `docker info` ends with."""
    if not engine.machine.cgroups:
        yield _NO_CGROUPS
    else:
        yield from (f"WARNING: No {name} support" for name in _unsupported(engine.cgroups))
    if engine.machine.apparmor and not engine.machine.apparmor_profile:
        yield _NO_PROFILE
    if paths.text_of(_FORWARDING).strip() == "0":
        yield "WARNING: IPv4 forwarding is disabled"


def limits_swap(cgroups: Cgroups) -> bool:
    return _has(cgroups, "memory", _SWAP)


def _unsupported(cgroups: Cgroups) -> Iterator[str]:
    return (name for controller, files, name in _SUPPORT if not _has(cgroups, controller, files))


def _has(cgroups: Cgroups, controller: str, files: tuple[str, ...]) -> bool:
    controller = "io" if controller == "blkio" and cgroups.unified else controller
    return bool(cgroups.version(controller)) and (not files or cgroups.offers(controller, files))


def _only_version_1(limits: Resources) -> Iterator[str]:
    """What version 2 has no files for."""
    if limits.memory_swappiness is not None:
        yield f"{_LACKS} memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."
    if limits.oom_kill_disable:
        yield f"{_LACKS} OomKillDisable. OomKillDisable discarded."
    if limits.kernel_memory_tcp:
        yield f"{_LACKS} kernel memory TCP limit or the cgroup is not mounted. Limitation discarded."


def _of_platform(request: CreateRequest, image: Image) -> Iterator[str]:
    ours, theirs = host_platform(), image.config.platform
    if theirs.architecture and not request.platform and not serves(theirs, ours):
        yield (
            f"The requested image's platform ({theirs}) does not match the detected host platform ({ours}) "
            "and no specific platform was requested"
        )


def _of_ulimits(engine: Engine, host: HostConfig) -> Iterator[str]:
    """Hard limits that the child will not be allowed to raise, and leaves as they are. Unknown names are its start's error."""
    for limit in host.resources.ulimits:
        number = RLIMIT_NUMBERS.get("RLIMIT_" + limit.name.upper())
        if number is None:
            continue
        present, most = _raisable(engine, limit.name, number)
        if limit.hard % (1 << 64) > most:
            yield f"Ulimit {limit.name}: the hard limit cannot be raised to {limit.hard} here. It stays at {present}."


def _raisable(engine: Engine, name: str, number: int) -> tuple[int, int]:
    """The hard limit at present, and up to where it may be raised."""
    _, present = get_rlimit(number)
    if engine.machine.user_namespace:
        return present, present
    return present, max(present, int(paths.text_of(_MOST_FILES))) if name == "nofile" else (1 << 64) - 1
