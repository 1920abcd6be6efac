"""Top: `ps` on the host, cut down to one container's processes.

Source: Docker Engine API, `GET /containers/{id}/top`; moby `daemon/top_unix.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re

from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.errors import Internal, Invalid, Unsupported

# `-o` may not ask ps for a column whose text holds line breaks or hides the pid.
_FORBIDDEN = re.compile(r"\s+|^-?-h|^--no-headers")


async def top(engine: Engine, ref: str, ps_args: str = "-ef") -> tuple[list[str], list[list[str]]]:
    """(titles, one row of columns a process); raises `Unsupported` when the machine has no ps."""
    entry = engine.containers.find(ref)
    require("top", entry.record, ref)
    live = entry.live
    if live is None:
        raise Internal(f"top {entry.id}: no process")
    if engine.machine.cgroups:
        pids = set(await asyncio.to_thread(engine.cgroups.processes, live.cgroup))
    else:
        pids = await asyncio.to_thread(_in_namespace_of, live.pid)
    output = await _ps((ps_args or "-ef").split())
    engine.events.container("top", entry.record)
    return _pick(output, pids)


def _in_namespace_of(leader: int) -> set[int]:
    """Where there are no groups to ask: the processes of its pid namespace."""
    namespace, found = os.stat(f"/proc/{leader}/ns/pid").st_ino, set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended, or is none of ours
            if os.stat(f"/proc/{name}/ns/pid").st_ino == namespace:
                found.add(int(name))
    return found


async def _ps(arguments: list[str]) -> str:
    if any(_FORBIDDEN.match(argument) for argument in arguments):
        raise Invalid(f"ps arguments {arguments}: headers are needed")
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise Unsupported("run ps: not installed (apt-get install procps)") from None
    out, err = await process.communicate()
    if process.returncode:
        raise Internal(f"ps: {err.decode(errors='replace').strip()}")
    return out.decode(errors="replace")


def _pick(output: str, pids: set[int]) -> tuple[list[str], list[list[str]]]:
    """Rows whose PID column is in `pids`; the last column keeps its spaces."""
    lines = output.splitlines()
    titles = lines[0].split()
    if "PID" not in titles:
        raise Invalid("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = (line.split(None, len(titles) - 1) for line in lines[1:])
    return titles, [row for row in rows if len(row) > column and row[column].isdigit() and int(row[column]) in pids]
