"""`firkin-oci kill`: a signal to the container's first process, or to all of them."""

from __future__ import annotations

import os

from firkin.errors import Conflict, Invalid
from firkin.linux import process
from firkin.runtime.oci import flags
from firkin.runtime.oci.record import STOPPED, Directory, frozen, open_process
from firkin.runtime.oci.signals import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS = (1, 2), "<container-id> [signal]"
FLAGS = (("all", flags.SWITCH, "a", "send the signal to all processes inside the container"),)
_SIGKILL = 9


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    record = directory.load()
    word = context.arguments[1] if len(context.arguments) > 1 else "SIGTERM"
    number = number_of(word)
    if number is None:
        raise Invalid(f'unknown signal "{word}"')
    status = directory.status(record)
    if context.options.on("all"):
        _kill_all(record, number)
    elif status == STOPPED:
        raise Conflict("container not running")
    else:
        pidfd = open_process(record)
        process.pidfd_send_signal(pidfd, number)
        os.close(pidfd)
    if number == _SIGKILL and record.cgroup_path and frozen(record):
        record.cgroups.thaw(record.cgroup_path)
    return 0


def _kill_all(record: Record, number: int) -> None:
    if not record.cgroup_path or not record.cgroups.exists(record.cgroup_path):
        return
    for pid in record.cgroups.processes(record.cgroup_path):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
