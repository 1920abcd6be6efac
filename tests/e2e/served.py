"""The faulty registry of the images' tests, inside a laboratory's network namespace."""

from __future__ import annotations

import asyncio
import os
import threading

from tests.images.faulty import FaultyRegistry
from tests.lab import Lab

from firkin.linux.process import CLONE_NEWNET, setns


class Served:
    """A registry on a thread that alone has entered the laboratory; `registry` may be changed while it serves."""

    def __init__(self, lab: Lab, port: int = 5001) -> None:
        self.registry = FaultyRegistry(port)
        self._lab = lab
        self._loop = asyncio.new_event_loop()
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FaultyRegistry:
        self._thread.start()
        assert self._ready.wait(10)
        return self.registry

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    def _serve(self) -> None:
        namespace = os.open(f"/proc/{self._lab.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        setns(namespace, CLONE_NEWNET)
        os.close(namespace)
        self._loop.run_until_complete(self._until_over())

    async def _until_over(self) -> None:
        async with self.registry:
            self._ready.set()
            await self._over.wait()
