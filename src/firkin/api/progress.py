"""Progress of a transfer as a stream of JSON lines: pull, push, load and import.

An error before the first line is an ordinary error response; after it, it is the last line of the stream.
Source: Docker Engine API, `CreateImageInfo`; moby `pkg/streamformatter`, `pkg/jsonmessage` (the bar of old clients).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from firkin.api import problems
from firkin.api.call import Call
from firkin.images.progress import Progress, Watcher

Work = Callable[[Watcher], Awaitable[Any]]
Finish = Callable[[Any], list[dict[str, Any]]]

_encode = msgspec.json.Encoder().encode
_INTERVAL = 0.1  # seconds between two reports of one layer's bytes


class Feed:
    """Where a transfer reports to: never waits for the client, and thins out what changes too fast to be read."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._sent: dict[tuple[str, str], float] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.total and progress.current < progress.total:
            now, key = time.monotonic(), (progress.id, progress.status)
            if now - self._sent.get(key, 0.0) < _INTERVAL:
                return
            self._sent[key] = now
        self._queue.put_nowait(progress)

    def end(self, _: object = None) -> None:
        self._queue.put_nowait(None)

    async def next(self) -> Progress | None:
        """The next report; None after the last."""
        return await self._queue.get()


async def serve(call: Call, work: Work, finish: Finish = lambda result: []) -> web.StreamResponse:
    """Run `work(watcher)` and stream its progress; `finish(result)` gives lines to end with. A client that leaves ends it."""
    feed = Feed()
    task = asyncio.ensure_future(work(feed))
    task.add_done_callback(feed.end)
    response: web.StreamResponse | None = None
    try:
        while (progress := await feed.next()) is not None:
            response = response or await call.stream("application/json")
            await response.write(line(shape(progress, call.dialect.has_legacy_progress_fields)))
        error = task.exception()
        if isinstance(error, Exception) and response is None:
            raise error
        response = response or await call.stream("application/json")
        for item in [_failure(error)] if isinstance(error, Exception) else finish(task.result()):
            await response.write(line(item))
        return response
    finally:
        task.cancel()


def line(item: dict[str, Any]) -> bytes:
    return _encode(item) + b"\r\n"


def shape(progress: Progress, legacy: bool) -> dict[str, Any]:
    """One report as Docker's `CreateImageInfo`; `legacy` adds the bar that old clients print as it is."""
    item: dict[str, Any] = {"status": progress.status}
    if progress.total:
        item["progressDetail"] = {"current": progress.current, "total": progress.total}
        if legacy:
            item["progress"] = bar(progress.current, progress.total)
    elif progress.id:
        item["progressDetail"] = {}
    if progress.id:
        item["id"] = progress.id
    return item


def bar(current: int, total: int) -> str:
    """`[=====>   ]  1.2MB/3.4MB`."""
    done = min(50, current * 50 // total)
    arrow = "=" * done + (">" if done < 50 else "")
    return f"[{arrow:<50}]  {human_size(current):>8}/{human_size(total)}"


def human_size(size: float) -> str:
    """Decimal units with four significant digits, as Docker's `units.HumanSize`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.4g}{unit}"
        size /= 1000
    return f"{size:.4g}PB"


def _failure(error: Exception) -> dict[str, Any]:
    _, message = problems.describe(error)
    return {"errorDetail": {"message": message}, "error": message}
