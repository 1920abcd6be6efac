"""Top: `ps` on the host, cut down to one container's processes.

Source: Docker Engine API, `GET /containers/{id}/top`; moby `daemon/top_unix.go`.
"""

from __future__ import annotations

import asyncio
import re

from firkin.engine import processes
from firkin.engine.engine import Engine
from firkin.engine.states import require
from firkin.errors import Internal, Invalid, Unsupported

# A column that is called PID and is another one would show processes that are none of the container's.
_CALLED_PID = re.compile(r"\s(\S*)=\s*(PID\S*)")


async def top(engine: Engine, ref: str, ps_args: str = "-ef") -> tuple[list[str], list[list[str]]]:
    """(titles, one row of columns a process); raises `Unsupported` when the machine has no ps."""
    entry = engine.containers.find(ref)
    require("top", entry.record, ref)
    live = entry.live
    if live is None:
        raise Internal(f"top {entry.id}: no process")
    found = _pick(await _ps(ps_args or "-ef"), await processes.pids(engine, live))
    engine.events.container("top", entry.record)
    return found


async def _ps(arguments: str) -> str:
    for column, title in _CALLED_PID.findall(" " + arguments):
        if column != "pid":
            raise Invalid(f'specifying "{column}={title}" is not allowed')
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *arguments.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise Unsupported("run ps: not installed (apt-get install procps)") from None
    out, err = await process.communicate()
    if process.returncode:
        raise Internal("ps: " + err.decode(errors="replace").strip().partition("\n")[0])
    return out.decode(errors="replace")


def _pick(output: str, pids: set[int]) -> tuple[list[str], list[list[str]]]:
    """Rows whose PID column is in `pids`; the last column keeps its spaces."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise Invalid("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = (line.split(None, len(titles) - 1) for line in lines[1:])
    return titles, [row for row in rows if len(row) > column and row[column].isdigit() and int(row[column]) in pids]
