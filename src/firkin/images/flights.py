"""One transfer for everybody who wants the same bytes at the same time.

Invariant: for any key at most one piece of work runs; whoever comes later waits for it and hears its progress. If the one
who runs it gives up, one of those who wait takes over, so nobody suffers from another's Ctrl-C.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from firkin.images.progress import Progress, Watcher

T = TypeVar("T")


class _Flight(Generic[T]):
    def __init__(self) -> None:
        self.watchers: list[Watcher] = []
        self.landed: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.last: Progress | None = None

    def tell(self, progress: Progress) -> None:
        self.last = progress
        for watch in self.watchers:
            watch(progress)

    def join(self, watch: Watcher) -> None:
        """Hear all that follows, and where it stands now."""
        self.watchers.append(watch)
        if self.last is not None:
            watch(self.last)


class Flights(Generic[T]):
    """Work under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def once(self, key: str, work: Callable[[Watcher], Awaitable[T]], watch: Watcher) -> T:
        """The result of `work`, run here or already running elsewhere for the same `key`; its error likewise."""
        while flight := self._flights.get(key):
            flight.join(watch)
            try:
                return await asyncio.shield(flight.landed)
            except asyncio.CancelledError:
                if not flight.landed.cancelled() or _being_cancelled():
                    raise
            finally:
                flight.watchers.remove(watch)
        flight = self._flights[key] = _Flight()
        flight.join(watch)
        try:
            result = await work(flight.tell)
        except asyncio.CancelledError:
            flight.landed.cancel()
            raise
        except BaseException as error:
            flight.landed.set_exception(error)
            flight.landed.exception()  # heard here: nobody else need have been waiting
            raise
        else:
            flight.landed.set_result(result)
            return result
        finally:
            del self._flights[key]


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
