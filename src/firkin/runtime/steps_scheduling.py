"""Steps of a plan that choose how the kernel treats a child: its scheduling, its memory's nodes, its security labels.

All are inherited, so a child sets them for the container's whole life. A kernel without the feature is a failed step:
dropping one silently would weaken the container or surprise its owner.
Source: runtime-spec config.md "Linux Process", config-linux.md "Memory policy"; see `linux.scheduling` and `linux.lsm`.
"""

from __future__ import annotations

import errno
import os

from firkin.linux import lsm, scheduling
from firkin.runtime.state import State


def scheduler(
    state: State, policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int
) -> None:
    scheduling.set_scheduler(policy, flags, nice, priority, runtime, deadline, period)


def io_priority(state: State, class_: int, priority: int) -> None:
    scheduling.set_io_priority(class_, priority)


def memory_policy(state: State, mode: int, nodes: list[int]) -> None:
    scheduling.set_memory_policy(mode, nodes)


def cpu_affinity(state: State, cpus: list[int]) -> None:
    os.sched_setaffinity(0, cpus)


def apparmor(state: State, profile: str) -> None:
    """While the host's file tree can be seen, which tells whether there is AppArmor at all."""
    if not lsm.apparmor_enabled():
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), "AppArmor is not enabled in this kernel")
    lsm.set_apparmor_profile(state.proc, profile)


def selinux(state: State, label: str) -> None:
    if not lsm.selinux_enabled():
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), "SELinux is not enabled in this kernel")
    lsm.set_selinux_label(state.proc, label)


STEPS = {
    "scheduler": scheduler,
    "io-priority": io_priority,
    "memory-policy": memory_policy,
    "cpu-affinity": cpu_affinity,
    "apparmor": apparmor,
    "selinux": selinux,
}
