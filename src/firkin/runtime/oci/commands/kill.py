"""`firkin-oci kill`: a signal to the container's first process, or to all of them.

A container without a pid namespace of its own does not end with its first process: SIGKILL is then for all.
Source: runc container_linux.go (Signal, signalAllProcesses).
"""

from __future__ import annotations

import os

from firkin.errors import Invalid
from firkin.linux import process
from firkin.runtime.oci import flags
from firkin.runtime.oci.record import Directory, frozen, open_process
from firkin.runtime.oci.signals import number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS = (1, 2), "<container-id> [signal]"
FLAGS = (("all", flags.SWITCH, "a", "send the signal to all processes inside the container"),)
_SIGKILL = 9


def main(context: Context) -> int:
    record = Directory(context.root, context.id).load()
    word = context.arguments[1] if len(context.arguments) > 1 else "SIGTERM"
    number = number_of(word)
    if number is None:
        raise Invalid(f'unknown signal "{word}"')
    everybody = context.options.on("all")
    reached = False
    if everybody or (number == _SIGKILL and not record.own_pids and not record.cgroup_shared):
        reached = _kill_all(record, number)
    if not reached and not everybody:
        pidfd = open_process(record)
        process.pidfd_send_signal(pidfd, number)
        os.close(pidfd)
    if number == _SIGKILL and record.cgroup_path and frozen(record):
        record.cgroups.thaw(record.cgroup_path)
    return 0


def _kill_all(record: Record, number: int) -> bool:
    """Frozen meanwhile, so that nobody forks out of reach. Whether there was anybody."""
    cgroups, path = record.cgroups, record.cgroup_path
    if not path or not cgroups.exists(path):
        return False
    freeze = bool(cgroups.version("freezer")) and not frozen(record)
    if freeze:
        cgroups.freeze(path)
    found = cgroups.processes(path)
    for pid in found:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    if freeze:
        cgroups.thaw(path)
    return bool(found)
