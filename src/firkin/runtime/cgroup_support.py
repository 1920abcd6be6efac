"""Which limits of `linux.resources` this machine's cgroups cannot put in force: dropping one silently would weaken it. Pure.

Source: runtime-spec config-linux.md "Control groups" ("If the conversion is not possible the runtime MUST generate an
error"), "Unified".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from firkin.oci.runtime_resources import CPU, BlockIO, Memory, Network, Resources
    from firkin.runtime.cgroup_settings import Setting


def unconvertible(resources: Resources, version: Callable[[str], int]) -> Iterator[str]:
    """Fields of `resources` that no control file of this machine stands for: those only version 1 knows where there is
    version 2, those of controllers that are not there, those version 2 does not take without another."""
    if resources.memory and version("memory") == 2:
        yield from _memory(resources.memory)
    if resources.cpu and version("cpu") == 2:
        yield from _cpu(resources.cpu)
    if resources.block_io and not version("blkio"):
        yield from _block_io(resources.block_io)
    if resources.network:
        yield from _network(resources.network, version)
    if resources.rdma and not version("rdma"):
        yield "rdma"
    for name in resources.unified:
        controller = name.partition(".")[0]
        if "/" in name or "." not in name or (controller != "cgroup" and version(controller) != 2):
            yield f"unified.{name}"


def _memory(memory: Memory) -> Iterator[str]:
    only_v1 = {"kernelTCP": memory.kernel_tcp, "swappiness": memory.swappiness, "disableOOMKiller": memory.disable_oom_killer}
    yield from (f"memory.{word}" for word, value in only_v1.items() if value)
    if (memory.swap or 0) > 0 and (memory.limit or -1) < 0:
        yield "memory.swap"  # with memory, and that is not limited: how much is left for swap?


def _cpu(cpu: CPU) -> Iterator[str]:
    only_v1 = {"realtimeRuntime": cpu.realtime_runtime, "realtimePeriod": cpu.realtime_period}
    yield from (f"cpu.{word}" for word, value in only_v1.items() if value)


def _block_io(io: BlockIO) -> Iterator[str]:
    if io.leaf_weight or any(one.leaf_weight for one in io.weight_device):
        yield "blockIO.leafWeight"


def _network(network: Network, version: Callable[[str], int]) -> Iterator[str]:
    if network.class_id is not None and version("net_cls") != 1:
        yield "network.classID"
    if network.priorities and version("net_prio") != 1:
        yield "network.priorities"


def lacking(missing: Iterable[str], settings: Iterable[Setting]) -> str:
    """Of `settings`, the control file that this kernel has under no name, `missing` being those it has not; "" if each is
    there. Some limits have two names, by the kernel's age or its scheduler, and both are written."""
    absent = set(missing)
    there = {_one_name(name) for _, name, _ in settings if name not in absent}
    return next((name for name in missing if _one_name(name) not in there), "")


def _one_name(name: str) -> str:
    return name.replace(".bfq.", ".").replace(".rsvd.", ".")
