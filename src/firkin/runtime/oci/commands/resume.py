"""`firkin-oci resume`: let a paused container's processes go on."""

from __future__ import annotations

from firkin.errors import Conflict
from firkin.runtime.oci.record import PAUSED, Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS, FLAGS = (1, 1), "<container-id>", ()


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    record = directory.load()
    if directory.status(record) != PAUSED:
        raise Conflict("container not paused")
    record.cgroups.thaw(record.cgroup_path)
    return 0
