"""`firkin-oci pause`: stop all of a container's processes where they are."""

from __future__ import annotations

from firkin.errors import Conflict
from firkin.runtime.oci.record import CREATED, RUNNING, Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS, FLAGS = (1, 1), "<container-id>", ()


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    record = directory.load()
    if directory.status(record) not in (RUNNING, CREATED):
        raise Conflict("container not running")
    record.cgroups.freeze(record.cgroup_path)
    return 0
