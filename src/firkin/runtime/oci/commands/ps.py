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
    output = os.memfd_create("ps", os.MFD_CLOEXEC)
    try:
        pid = os.posix_spawnp("ps", ["ps", *arguments], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)])
    except OSError as error:
        raise Internal(f"exec ps: {os.strerror(error.errno or 0).lower()}") from None
    if os.waitpid(pid, 0)[1]:
        raise Internal("ps failed")
    lines = os.pread(output, os.fstat(output).st_size, 0).decode("utf-8", "replace").splitlines()
    os.close(output)
    return [line for line in lines if line.strip()]
