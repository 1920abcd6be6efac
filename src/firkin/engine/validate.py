"""What dockerd refuses when a container is created: combinations and ranges. What it only warns of is in `warnings`.

Source: moby `daemon/container.go` verifyContainerSettings and `daemon/daemon_unix.go` verifyPlatformContainerSettings.
"""

from __future__ import annotations

import os
import re

from firkin.engine import cgroup_conf, log_options, userns
from firkin.engine.engine import Engine
from firkin.errors import Invalid
from firkin.model import ContainerConfig, HostConfig, LogConfig, Resources, RestartPolicy
from firkin.runtime import selinux
from firkin.runtime.spec import stop_signal
from firkin.runtime.spec_security import bounding_set, security_options

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([kmg]?)i?b?")
_COUNT = re.compile(r"[0-9]{1,9}")
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30}
_SMALLEST_MEMORY = 6 << 20
_RUNTIMES = ("", "firkin", "runc", "io.containerd.runc.v2")  # there is one, which answers to Docker's names of it too
_ONLINE = "/sys/devices/system/cpu/online"
_LARGEST_CPU = 8192  # CONFIG_NR_CPUS is no larger anywhere
_RESTART_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


def validate(engine: Engine, config: ContainerConfig, host: HostConfig) -> None:
    """Raise `Invalid` (or `NotFound` for a container named by a mode) for anything that could never start."""
    _check_config(config)
    check_restart(host.restart_policy)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise Invalid("can't create 'AutoRemove' container with restart policy")
    log_options.check(host.log_config)
    log_limits(host.log_config)
    _check_modes(engine, host, config)
    check_resources(host.resources)
    cgroup_conf.check(engine.cgroups, host.resources.cgroup_conf)
    bounding_set(host, engine.machine.capabilities)
    selinux.check(security_options(host.security_opt).labels)
    if host.runtime not in _RUNTIMES:
        raise Invalid(f"unknown or invalid runtime name: {host.runtime}")
    userns.validate(engine, host)
    if host.isolation not in ("", "default"):
        raise Invalid(f"invalid isolation {host.isolation!r}: Linux knows only 'default'")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise Invalid(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.shm_size < 0:
        raise Invalid("SHM size can not be less than 0")
    if host.storage_opt:
        raise Invalid("--storage-opt is not supported: writable layers have no quota")


def _check_config(config: ContainerConfig) -> None:
    if config.working_dir and not config.working_dir.startswith("/"):
        raise Invalid(f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path")
    if config.stop_signal:
        stop_signal(config.stop_signal)
    if len(config.hostname) > 63:
        raise Invalid(f"invalid hostname: {config.hostname}")
    check = config.healthcheck
    for name in ("interval", "timeout", "start_period", "start_interval") if check else ():
        if 0 < getattr(check, name) < 1_000_000:
            raise Invalid(f"{name.title().replace('_', '')} in Healthcheck cannot be less than 1ms")


def check_restart(policy: RestartPolicy) -> None:
    """A known policy, and a count of retries only where one counts."""
    if policy.name not in _RESTART_POLICIES:
        raise Invalid(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', or "
            "'unless-stopped'"
        )
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise Invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if policy.maximum_retry_count < 0:
        raise Invalid("invalid restart policy: maximum retry count cannot be negative")


def log_limits(log: LogConfig) -> tuple[int, int]:
    """(max-size in bytes, 0 for no rotation; max-file); raises `Invalid`."""
    size, files = log.config.get("max-size", "-1"), log.config.get("max-file", "1")
    match = _SIZE.fullmatch(size.lower())
    if size != "-1" and not match:
        raise Invalid(f"invalid log opt max-size: {size!r}: want a number and perhaps k, m or g")
    if not _COUNT.fullmatch(files) or int(files) == 0:
        raise Invalid(f"invalid log opt max-file: {files!r}: cannot be less than 1")
    return (int(float(match[1]) * (1 << _SHIFTS[match[2]])) if match else 0), int(files)


def _check_modes(engine: Engine, host: HostConfig, config: ContainerConfig) -> None:
    for mode in (host.network_mode, host.pid_mode, host.ipc_mode):
        if mode.startswith("container:"):
            engine.containers.joined(mode)
    if host.pid_mode not in ("", "host") and not host.pid_mode.startswith("container:"):
        raise Invalid(f"invalid PID mode: {host.pid_mode}")
    if host.ipc_mode not in ("private", "shareable", "host", "none") and not host.ipc_mode.startswith("container:"):
        raise Invalid(f"invalid IPC mode: {host.ipc_mode}")
    if host.uts_mode not in ("", "host"):
        raise Invalid(f"invalid UTS mode: {host.uts_mode}")
    if host.cgroupns_mode not in ("host", "private"):
        raise Invalid(f"invalid cgroup namespace mode: {host.cgroupns_mode}")
    if host.network_mode in ("host", "none") or host.network_mode.startswith("container:"):
        return
    if host.uts_mode == "host" and config.hostname:
        raise Invalid("conflicting options: hostname and the UTS mode")


def check_resources(limits: Resources) -> None:
    """Ranges and relations of limits, with dockerd's texts."""
    if 0 < limits.memory < _SMALLEST_MEMORY:
        raise Invalid("Minimum memory limit allowed is 6MB")
    if limits.memory_swap > 0 and not limits.memory:
        raise Invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < limits.memory_swap < limits.memory:
        raise Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
    if 0 < limits.memory < limits.memory_reservation:
        raise Invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
    if 0 < limits.memory_reservation < _SMALLEST_MEMORY:
        raise Invalid("Minimum memory reservation allowed is 6MB")
    swappiness = limits.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise Invalid(f"invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if limits.nano_cpus and (limits.cpu_period or limits.cpu_quota):
        raise Invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    processors = os.cpu_count() or 1
    if not 0 <= limits.nano_cpus <= processors * 1_000_000_000:
        raise Invalid(f"range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available")
    if limits.cpu_period and not 1000 <= limits.cpu_period <= 1_000_000:
        raise Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < limits.cpu_quota < 1000:
        raise Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if 0 < limits.cpu_realtime_period < limits.cpu_realtime_runtime:
        raise Invalid("cpu real-time runtime cannot be higher than cpu real-time period")
    if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
        raise Invalid("Range of blkio weight is from 10 to 1000")
    if limits.cpuset_cpus:
        _check_cpus(limits.cpuset_cpus)


def _check_cpus(wanted: str) -> None:
    """`0-2,5`: numbers of processors that are online."""
    with open(_ONLINE, encoding="ascii") as file:
        online = file.read().strip()
    try:
        missing = _numbers(wanted) - _numbers(online)
    except ValueError:
        raise Invalid(f"invalid value {wanted} for cpuset cpus") from None
    if missing:
        raise Invalid(f"Requested CPUs are not available - requested {wanted}, available: {online}")


def _numbers(text: str) -> set[int]:
    """What a list of ranges names; raises ValueError."""
    found: set[int] = set()
    for part in dict.fromkeys(filter(None, text.split(","))):
        first, _, last = part.partition("-")
        if int(last or first) > _LARGEST_CPU:
            found.add(int(last or first))
        else:
            found.update(range(int(first), int(last or first) + 1))
    return found
