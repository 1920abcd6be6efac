"""`linux.resources` of an OCI configuration. Part of `validate`.

Source: runtime-spec config-linux.md "Control groups"; kernel cgroup-v1/*.rst and cgroup-v2.rst for the ranges.
"""

from __future__ import annotations

from firkin.errors import Invalid
from firkin.oci import number_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_resources import CPU, BlockIO, Memory, Resources

_UNITS = ("KB", "MB", "GB")
_WEIGHTS = range(10, 1001)


def validate(resources: Resources) -> None:
    _devices(resources)
    if resources.memory:
        _memory(resources.memory)
    if resources.cpu:
        _cpu(resources.cpu)
    if resources.block_io:
        _block_io(resources.block_io)
    _hugepages(resources)
    for name, limit in resources.rdma.items():
        if limit.hca_handles is None and limit.hca_objects is None:
            raise Invalid(f"linux.resources.rdma.{name}: neither hcaHandles nor hcaObjects is given")
    for name in resources.unified:
        if "/" in name or "\0" in name or not name.partition(".")[2]:
            raise Invalid(f"linux.resources.unified: {name!r} is no control file")


def _devices(resources: Resources) -> None:
    for index, one in enumerate(resources.devices):
        field = f"linux.resources.devices[{index}]"
        if one.type not in ("", "a", "b", "c"):
            raise Invalid(f"{field}.type: want one of a, b, c, got {one.type!r}")
        if not set(one.access) <= set("rwm"):
            raise Invalid(f"{field}.access: want a composition of r, w and m, got {one.access!r}")
        for word, number in (("major", one.major), ("minor", one.minor)):
            if number is not None and not -1 <= number < 1 << 32:
                raise Invalid(f"{field}.{word}: no device has number {number}")


def _memory(memory: Memory) -> None:
    limit, swap = memory.limit or 0, memory.swap or 0
    for word, value in (
        ("limit", memory.limit),
        ("reservation", memory.reservation),
        ("swap", memory.swap),
        ("kernelTCP", memory.kernel_tcp),
    ):
        if value is not None and value < -1:
            raise Invalid(f"linux.resources.memory.{word}: want a size, or -1 for no limit, got {value}")
    if 0 < swap < limit:
        raise Invalid(f"linux.resources.memory.swap: memory and swap together, {swap}, are less than the memory, {limit}")
    if memory.swappiness is not None and memory.swappiness > 100:
        raise Invalid(f"linux.resources.memory.swappiness: want 0 to 100, got {memory.swappiness}")


def _cpu(cpu: CPU) -> None:
    number_list.parse(cpu.cpus, "linux.resources.cpu.cpus")
    number_list.parse(cpu.mems, "linux.resources.cpu.mems")
    if cpu.idle not in (None, 0, 1):
        raise Invalid(f"linux.resources.cpu.idle: want 0 or 1, got {cpu.idle}")
    if (cpu.quota or 0) < -1:
        raise Invalid(f"linux.resources.cpu.quota: want microseconds, or -1 for no limit, got {cpu.quota}")
    if 0 < (cpu.quota or 0) < (cpu.burst or 0):
        raise Invalid(f"linux.resources.cpu.burst: {cpu.burst} is more than the quota, {cpu.quota}")


def _block_io(io: BlockIO) -> None:
    weights = [("weight", io.weight), ("leafWeight", io.leaf_weight)]
    for index, one in enumerate(io.weight_device):
        if one.weight is None and one.leaf_weight is None:
            raise Invalid(f"linux.resources.blockIO.weightDevice[{index}]: neither weight nor leafWeight is given")
        weights += [(f"weightDevice[{index}].weight", one.weight), (f"weightDevice[{index}].leafWeight", one.leaf_weight)]
    for word, weight in weights:
        if weight and weight not in _WEIGHTS:
            raise Invalid(f"linux.resources.blockIO.{word}: want 10 to 1000, got {weight}")


def _hugepages(resources: Resources) -> None:
    seen = set()
    for index, one in enumerate(resources.hugepage_limits):
        field = f"linux.resources.hugepageLimits[{index}].pageSize"
        number, unit = one.page_size[:-2], one.page_size[-2:]
        if unit not in _UNITS or not (number.isascii() and number.isdecimal()) or number.startswith("0"):
            raise Invalid(f"{field}: want a size such as 2MB, got {one.page_size!r}")
        if one.page_size in seen:
            raise Invalid(f"{field}: {one.page_size} is there twice")
        seen.add(one.page_size)
