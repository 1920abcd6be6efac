"""Pull on a disk that is too small; run by test_pull_faults in a mount namespace of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from firkin.errors import Unavailable
from tests.images.rig import Rig


async def main(disk: str, name: str) -> None:
    rig = Rig(Path(disk))
    try:
        await rig.images.pull(name)
    except Unavailable as error:
        print(error)
    await asyncio.sleep(0.2)  # for what is removed in the background
    print("left:", rig.left())


asyncio.run(main(*sys.argv[1:]))
