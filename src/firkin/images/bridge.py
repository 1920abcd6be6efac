"""Between the event loop and a thread: blocking work on a stream that arrives or leaves asynchronously.

Invariant: when the waiting task is cancelled, the thread has ended before the task goes on; nothing works on unseen.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Read = Callable[[int], bytes]  # the next piece of a stream, b"" at its end; the number is only a wish


async def from_chunks(chunks: AsyncIterable[bytes], work: Callable[[Read], T]) -> T:
    """`work(read)` in a thread, where `read` yields `chunks` one by one."""
    loop, source = asyncio.get_running_loop(), aiter(chunks)
    waiting: list[concurrent.futures.Future[bytes]] = []
    stopped = False

    async def following() -> bytes:
        return b"" if stopped else await anext(source, b"")

    def read(_: int) -> bytes:
        future = asyncio.run_coroutine_threadsafe(following(), loop)
        waiting[:] = [future]
        if stopped:  # told so before the future was there to be cancelled
            future.cancel()
        return future.result()

    thread = asyncio.ensure_future(asyncio.to_thread(work, read))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stopped = True
        for future in waiting:
            future.cancel()
        await asyncio.wait([thread])
        _ = thread.cancelled() or thread.exception()  # nobody is left to hear it
        raise


async def in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """`chunks`, each made in a thread, because making it reads files."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk
