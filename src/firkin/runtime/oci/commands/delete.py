"""`firkin-oci delete`: give back everything a stopped container still holds."""

from __future__ import annotations

from firkin.errors import Conflict, NotFound
from firkin.runtime.oci import destroy, flags
from firkin.runtime.oci.record import CREATED, STOPPED, Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (("force", flags.SWITCH, "f", "delete the container even if it is running (uses SIGKILL)"),)


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    force = context.options.on("force")
    try:
        record = directory.load()
    except NotFound:
        directory.remove()  # what a command that was killed may have left
        if force:
            return 0
        raise
    status = directory.status(record)
    # One that has only been created has nothing to lose yet.
    if status not in (STOPPED, CREATED) and not force:
        raise Conflict(f"cannot delete container {record.id} that is not stopped: {status}")
    destroy.end(record)
    destroy.remove(directory, record, context.log)
    return 0
