"""Steps for how the kernel is to treat the container's processes: clocks, scheduling, memory nodes, security labels.

Part of `plan`. Each is there only if the configuration asks for it.
Source: runtime-spec config.md "Linux Process", config-linux.md "Memory policy".
"""

from __future__ import annotations

from firkin.linux import scheduling
from firkin.oci import number_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from firkin.oci.runtime_config import Process
    from firkin.oci.runtime_linux import MemoryPolicy, TimeOffsets
    from firkin.runtime.plan_terms import Step


def clocks(wanted: TimeOffsets | None) -> str:
    """What to write to the new time namespace's timens_offsets; "" leaves its clocks as they are."""
    if wanted is None:
        return ""
    both = (("monotonic", wanted.monotonic), ("boottime", wanted.boottime))
    return "".join(f"{name} {offset.secs} {offset.nanosecs}\n" for name, offset in both if offset)


def labels(process: Process) -> Iterator[Step]:
    """They take effect when the program is executed. The host's files must still be in sight."""
    if process.apparmor_profile:
        yield "apparmor", process.apparmor_profile
    if process.selinux_label:
        yield "selinux", process.selinux_label


def priorities(process: Process) -> Iterator[Step]:
    """Real-time ones need privileges; and the less a child does under an idle one, the better."""
    wanted = process.scheduler
    if wanted:
        flags = sum(scheduling.POLICY_FLAGS[name] for name in set(wanted.flags))
        policy = scheduling.POLICIES[wanted.policy]
        yield "scheduler", policy, flags, wanted.nice, wanted.priority, wanted.runtime, wanted.deadline, wanted.period
    if process.io_priority:
        yield "io-priority", scheduling.IO_CLASSES[process.io_priority.class_], process.io_priority.priority


def memory(wanted: MemoryPolicy | None) -> Iterator[Step]:
    if wanted:
        flags = sum(scheduling.MEMORY_FLAGS[name] for name in set(wanted.flags))
        nodes = number_list.parse(wanted.nodes, "linux.memoryPolicy.nodes")
        yield "memory-policy", scheduling.MEMORY_MODES[wanted.mode] | flags, nodes


def affinity(process: Process, *, joined: bool) -> Iterator[Step]:
    """Of a process that joins a container: `initial` before it enters the cgroup, `final` once it has `joined`, for
    entering another cpuset resets it."""
    wanted = process.exec_cpu_affinity
    word = ("final" if joined else "initial") if wanted else ""
    text = getattr(wanted, word) if word else ""
    if text:
        yield "cpu-affinity", number_list.parse(text, f"process.execCPUAffinity.{word}")
