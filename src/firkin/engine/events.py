"""Events: a bounded history and live subscribers, as `docker events` shows them.

A subscriber that does not keep up loses its subscription rather than holding back the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

from firkin.model import Container, Event

_HISTORY = 256  # as moby's daemon/events keeps
_BACKLOG = 1024


class Events:
    """Publish to all, subscribe with a past and a filter."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=_HISTORY)
        self._subscribers: set[asyncio.Queue[Event | None]] = set()

    def publish(self, kind: str, action: str, actor_id: str, attributes: dict[str, str]) -> None:
        """Announce that `action` happened to the object; never blocks."""
        event = Event(kind, action, actor_id, attributes, time.time_ns())
        self._past.append(event)
        for queue in list(self._subscribers):
            if queue.qsize() >= _BACKLOG:
                self._subscribers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def container(self, action: str, container: Container, **extra: str) -> None:
        """A container event with Docker's attributes: labels, image, name and what the action adds."""
        attributes = {**container.config.labels, **extra, "image": container.config.image, "name": container.name}
        self.publish("container", action, container.id, attributes)

    def pruned(self, kind: str, freed: int) -> None:
        """Everything of one kind that nothing needed has gone, which freed so many bytes."""
        self.publish(kind, "prune", "", {"reclaimed": str(freed)})

    async def subscribe(self, since: int, until: int, wanted: Callable[[Event], bool]) -> AsyncIterator[Event]:
        """Past events from `since` (ns; 0 for none), then live ones until `until` (ns; 0 for ever)."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            for event in list(self._past) if since else ():
                if since <= event.time and (not until or event.time <= until) and wanted(event):
                    yield event
            while (event_or_end := await self._next(queue, until)) is not None:
                if wanted(event_or_end):
                    yield event_or_end
        finally:
            self._subscribers.discard(queue)

    @staticmethod
    async def _next(queue: asyncio.Queue[Event | None], until: int) -> Event | None:
        if not until:
            return await queue.get()
        try:
            return await asyncio.wait_for(queue.get(), (until - time.time_ns()) / 1e9)
        except TimeoutError:
            return None
