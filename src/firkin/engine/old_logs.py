"""Old logs: rotated log files are packed, for the containers whose log options say so.

By a look now and then, whoever has rotated and whenever: so nothing has to be told, and nothing is missed while there is no
daemon.
"""

from __future__ import annotations

import asyncio

from firkin.engine.engine import Engine
from firkin.engine.log_options import compresses
from firkin.runtime.log_packing import pack_rotated

_PERIOD, _PATIENCE = 1.0, 60.0  # seconds between two looks, and after one that went wrong: the disk is full, say


async def attend(engine: Engine) -> None:
    """For ever."""
    while True:
        await asyncio.sleep(_PERIOD)
        for container_id in [entry.id for entry in engine.containers if compresses(entry.record.host.log_config)]:
            try:
                await asyncio.to_thread(pack_rotated, engine.layout.container_log(container_id))
            except OSError:
                await asyncio.sleep(_PATIENCE)
