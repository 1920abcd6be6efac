"""How the kernel schedules the calling process: its processors' time, its disk's, and the memory nodes it allocates from.

Children inherit all of it, and execve(2) keeps it.
Source: sched_setattr(2), ioprio_set(2), set_mempolicy(2), linux/sched.h, linux/ioprio.h, linux/mempolicy.h.
"""

from __future__ import annotations

import struct

from firkin.linux.syscalls import call

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,  # reserved: no kernel has it
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
POLICY_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS = {"MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_NUMA_BALANCING": 1 << 13}

_SCHED_ATTR = struct.Struct("=IIQiIQQQII")  # size policy flags nice priority runtime deadline period clamp_min clamp_max
_IOPRIO_WHO_PROCESS, _IOPRIO_CLASS_SHIFT = 1, 13
_NODES = 1024  # the most a kernel can be built for


def set_scheduler(policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int) -> None:
    """sched_setattr(2); times in nanoseconds. Utilisation is clamped to nothing less than the whole range."""
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, flags, nice, priority, runtime, deadline, period, 0, 1024)
    call("sched_setattr", 0, attributes, 0)


def set_io_priority(class_: int, priority: int) -> None:
    """`priority` from 0, the highest, to 7."""
    call("ioprio_set", _IOPRIO_WHO_PROCESS, 0, class_ << _IOPRIO_CLASS_SHIFT | priority)


def set_memory_policy(mode: int, nodes: list[int]) -> None:
    """`mode` with its flags. ENOSYS: a kernel without NUMA; EINVAL: it does not know the mode, or has none of the nodes."""
    mask = sum(1 << node for node in nodes).to_bytes(_NODES // 8, "little")
    # The kernel reads one bit less than it is told of.
    call("set_mempolicy", mode, mask if nodes else None, _NODES + 1 if nodes else 0)
