"""`firkin-oci update`: other limits for a container that exists.

Source: runc update.go; crun.1.md "update".
"""

from __future__ import annotations

import sys

from firkin.errors import Conflict, Invalid
from firkin.linux import resctrl
from firkin.oci import json_text
from firkin.oci.runtime_resources import CPU, BlockIO, Memory, Pids, Resources
from firkin.runtime.oci import flags, groups, late
from firkin.runtime.oci.record import STOPPED, Directory, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.flags import Options
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    ("resources", flags.TEXT, "r", "file with the resources to update, as in linux.resources, or - for standard input"),
    ("blkio-weight", flags.NUMBER, "", "weight of block IO, from 10 to 1000"),
    ("cpu-period", flags.NUMBER, "", "CPU CFS period in microseconds"),
    ("cpu-quota", flags.NUMBER, "", "CPU CFS limit in microseconds a period"),
    ("cpu-burst", flags.NUMBER, "", "CPU time in microseconds that may be saved up beyond the quota"),
    ("cpu-idle", flags.NUMBER, "", "1: run only when nobody else wants to (SCHED_IDLE); 0: as others"),
    ("cpu-share", flags.NUMBER, "", "CPU shares (relative weight)"),
    ("cpu-rt-period", flags.NUMBER, "", "CPU realtime period in microseconds"),
    ("cpu-rt-runtime", flags.NUMBER, "", "CPU realtime limit in microseconds a period"),
    ("cpuset-cpus", flags.TEXT, "", "CPUs to use"),
    ("cpuset-mems", flags.TEXT, "", "memory nodes to use"),
    ("memory", flags.TEXT, "", "memory limit in bytes (or with k, m, g)"),
    ("memory-reservation", flags.TEXT, "", "memory reservation in bytes (or with k, m, g)"),
    ("memory-swap", flags.TEXT, "", "memory and swap together; -1 for no limit"),
    ("kernel-memory", flags.TEXT, "", "accepted without effect, as in runc"),
    ("kernel-memory-tcp", flags.TEXT, "", "accepted without effect, as in runc"),
    ("pids-limit", flags.NUMBER, "", "maximum number of tasks"),
    ("l3-cache-schema", flags.TEXT, "", "Intel RDT L3 cache schema"),
    ("mem-bw-schema", flags.TEXT, "", "Intel RDT memory bandwidth schema"),
)
_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    record = directory.load()
    if directory.status(record) == STOPPED:
        raise Conflict("container not running")
    if schemata := [*filter(None, (context.options.text(flag) for flag in ("l3-cache-schema", "mem-bw-schema")))]:
        _use_caches(directory, record, schemata)
    path = context.options.text("resources")
    wanted = _from_file(path) if path else _from_flags(context.options)
    _apply(record, wanted)
    return 0


def _use_caches(directory: Directory, record: Record, schemata: list[str]) -> None:
    """In the class that the container is in; one that has none gets one of its own, which goes when it goes."""
    root, wanted = resctrl.mount_point(), directory.config().linux.intel_rdt
    if wanted or record.cache_class:
        resctrl.change(root, (wanted.clos_id if wanted else "") or record.id, schemata)
    else:
        resctrl.join(root, record.id, schemata, True, "", record.pid)
        directory.save(record.replace(cache_class=record.id))


def _apply(record: Record, resources: Resources) -> None:
    """All that is given; device rules stay, as they do in runc."""
    cgroups = record.cgroups
    present = cgroups.read(record.cgroup_path, "memory", "memory.memsw.limit_in_bytes").strip()
    used = cgroups.read(record.cgroup_path, "memory", "memory.current").strip()
    settings = groups.wanted(cgroups, resources, int(present) if present.isdigit() else -1, int(used or 0))
    if record.unit:
        late.module("oci.scopes").update(record.unit, settings)
    groups.refuse_missing(cgroups.apply(record.cgroup_path, settings), settings)


def _from_file(path: str) -> Resources:
    """Zero is "not given" there, as callers of runc rely on: they fill in the whole form."""
    try:
        content = json_text.loads(sys.stdin.buffer.read() if path == "-" else read(path))
        return Resources.from_dict(_without_zeros(content))
    except Invalid as error:
        raise Invalid(f"read resources {path}: {error.message}") from None


def _without_zeros(content: object) -> object:
    if not isinstance(content, dict):
        return content
    cleaned = {key: _without_zeros(value) for key, value in content.items() if value not in (0, "", None) or value is False}
    return {key: value for key, value in cleaned.items() if value != {}}


def _from_flags(options: Options) -> Resources:
    def number(flag: str) -> int | None:
        return options.number(flag) or None

    memory = Memory(
        limit=_bytes(options, "memory"), reservation=_bytes(options, "memory-reservation"), swap=_bytes(options, "memory-swap")
    )
    cpu = CPU(
        shares=number("cpu-share"),
        quota=number("cpu-quota"),
        period=number("cpu-period"),
        burst=options.number("cpu-burst") if options.has("cpu-burst") else None,
        idle=options.number("cpu-idle") if options.has("cpu-idle") else None,
        realtime_runtime=number("cpu-rt-runtime"),
        realtime_period=number("cpu-rt-period"),
        cpus=options.text("cpuset-cpus"),
        mems=options.text("cpuset-mems"),
    )
    return Resources(
        memory=memory if memory != Memory() else None,
        cpu=cpu if cpu != CPU() else None,
        pids=Pids(options.number("pids-limit")) if options.number("pids-limit") else None,
        block_io=BlockIO(weight=options.number("blkio-weight")) if options.number("blkio-weight") else None,
    )


def _bytes(options: Options, flag: str) -> int | None:
    """ "512m", "536870912" or "-1"; None if not given."""
    text = options.text(flag).lower()
    if not text:
        return None
    digits = text.removesuffix("b") if len(text) > 1 else text
    shift = _UNITS.get(digits[-1:], 0)
    try:
        return int(digits[:-1] if shift else digits) << shift
    except ValueError:
        raise Invalid(f"invalid value for {flag}: invalid size: {options.text(flag)!r}") from None
