"""`firkin-oci delete`: give back everything a stopped container still holds."""

from __future__ import annotations

import os

from firkin.errors import Conflict, FirkinError, Internal, NotFound
from firkin.runtime.oci import destroy, flags, groups
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
    except (NotFound, Internal) as error:
        if force or isinstance(error, NotFound):
            _remove_remains(context, directory)
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


def _remove_remains(context: Context, directory: Directory) -> None:
    """What a command that was killed has left without a record. Its child has ended with it, so a group that was made for it
    is empty; one with somebody in it is somebody else's. systemd does not notice that a scope is empty whose process ended
    just when it was put there. podman says that it is one when it creates a container, and not again."""
    try:
        config = directory.config()
        place = groups.place(config, context.id, context.systemd or config.linux.cgroups_path.count(":") == 2)
        if not place.cgroups.processes(place.path):
            place.remove()
    except (FirkinError, OSError):  # there is no configuration, or nothing that it says is to be found
        pass
    if os.path.isdir(directory.path):
        directory.remove()
