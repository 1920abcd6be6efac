"""What all parts of an OCI runtime configuration share: immutability, the spelling of their JSON, number ranges.

Structs of msgspec rather than dataclasses: they read the same, decode with checks that name the offending field, and
are five times cheaper to make, of which a container start makes dozens.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

UInt16 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 16) - 1)]
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]
Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]

# Words the specification does not write in plain camel case.
_SPELLINGS = {
    "class_": "class",
    "class_id": "classID",
    "container_id": "containerID",
    "host_id": "hostID",
    "clos_id": "closID",
    "exec_cpu_affinity": "execCPUAffinity",
    "block_io": "blockIO",
    "throttle_read_iops_device": "throttleReadIOPSDevice",
    "throttle_write_iops_device": "throttleWriteIOPSDevice",
    "disable_oom_killer": "disableOOMKiller",
    "kernel_tcp": "kernelTCP",
}


def _spelled(name: str) -> str:
    """The specification's word for a field: `oom_score_adj` -> `oomScoreAdj`."""
    head, *rest = name.split("_")
    return _SPELLINGS.get(name) or head + "".join(word.capitalize() for word in rest)


class Value(msgspec.Struct, frozen=True, omit_defaults=True, rename=_spelled):
    """Base of all parts: compared by content; a field at its default is absent from the JSON, and None means "not given"
    wherever zero would mean something."""
