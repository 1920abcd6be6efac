"""`firkin-oci ps`: the processes in a container, as ps(1) shows them or as a list of numbers."""

from __future__ import annotations

import os
import sys

from firkin.errors import Internal, Invalid
from firkin.runtime.oci import flags, show
from firkin.runtime.oci.record import Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, flags.ANY), "<container-id> [ps options]"
FLAGS = (("format", flags.TEXT, "f", "one of: table or json (default: table)"),)


def main(context: Context) -> int:
    record = Directory(context.root, context.id).load()
    form = context.options.text("format", "table")
    pids = record.cgroups.processes(record.cgroup_path)
    if form == "json":
        show.line(pids)
    elif form == "table":
        head, *rows = _ps(context.arguments[1:] or ["-ef"])
        titles = head.split()
        if "PID" not in titles:
            raise Internal("couldn't find PID field in ps output")
        column, wanted = titles.index("PID"), {str(pid) for pid in pids}
        sys.stdout.write("".join(row + "\n" for row in [head, *(row for row in rows if row.split()[column] in wanted)]))
    else:
        raise Invalid("invalid format option")
    return 0


def _ps(arguments: list[str]) -> list[str]:
    """What ps(1) prints, by line."""
    output, errors = os.memfd_create("ps", os.MFD_CLOEXEC), os.memfd_create("ps-errors", os.MFD_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    try:
        pid = os.posix_spawnp("ps", ["ps", *arguments], os.environ, file_actions=actions)
    except OSError as error:
        raise Internal(f"exec ps: {os.strerror(error.errno or 0).lower()}") from None
    status = os.waitpid(pid, 0)[1]
    said, failed = _content(output), _content(errors)
    if status:
        raise Internal(f"exit status {os.waitstatus_to_exitcode(status)}: {failed}")
    return [line for line in said.splitlines() if line.strip()]


def _content(fd: int) -> str:
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    os.close(fd)
    return data.decode("utf-8", "replace")
