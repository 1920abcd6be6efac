"""An attached client's streams, on real pipes."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest

from firkin.engine.streams import Detached, Streams, pipe_pair


async def test_reads_until_every_writer_is_gone() -> None:
    (out, out_w), (err, err_w) = pipe_pair(), pipe_pair()
    streams = Streams({out: 1, err: 2})
    os.write(out_w, b"one")
    assert await streams.read() == (1, b"one")
    waiting = asyncio.create_task(streams.read())
    await asyncio.sleep(0)
    os.write(err_w, b"two")
    assert await waiting == (2, b"two")
    os.close(out_w)
    os.close(err_w)
    assert await streams.read() is None


async def test_close_wakes_a_reader() -> None:
    read, write = pipe_pair()
    streams = Streams({read: 1})
    waiting = asyncio.create_task(streams.read())
    await asyncio.sleep(0)
    await streams.close()
    assert await asyncio.wait_for(waiting, 1) is None
    os.close(write)


async def test_writing_waits_for_a_slow_process_and_loses_nothing() -> None:
    read, write = pipe_pair()
    os.set_blocking(write, False)

    async def stdin() -> int | None:
        return write

    streams = Streams({}, stdin)
    data = os.urandom(1 << 20)
    writing = asyncio.create_task(streams.write(data))
    got = b""
    while len(got) < len(data):
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            got += os.read(read, 65536)
    await writing
    assert got == data
    os.close(read)
    await streams.write(b"nobody reads this")
    os.close(write)


async def test_detach_keys_end_the_attachment() -> None:
    streams = Streams({}, tty=True)
    with pytest.raises(Detached):
        await streams.write(b"x\x10\x11y")
    assert streams.detached and await streams.read() is None


async def test_keys_mean_nothing_without_a_terminal() -> None:
    """As in dockerd, also when they are named."""
    streams = Streams({}, detach_keys="a,b")
    await streams.write(b"ab")
    assert not streams.detached


async def test_output_that_is_left_goes_to_who_takes_it() -> None:
    read, write = pipe_pair()
    taken: list[dict[int, int]] = []
    streams = Streams({read: 1}, on_leave=taken.append)
    reading = asyncio.create_task(streams.read())
    await asyncio.sleep(0)
    await streams.leave()
    assert taken == [{read: 1}] and await asyncio.wait_for(reading, 1) is None
    os.write(write, b"more")
    assert await Streams(taken[0]).read() == (1, b"more")
    os.close(read)
    os.close(write)


async def test_one_that_is_closed_takes_nobody_elses_reader_away() -> None:
    """The numbers of its descriptors are free at once, and the next client's before the reader of this one has woken up."""
    read, write = pipe_pair()
    streams = Streams({read: 1})
    reading = asyncio.create_task(streams.read())
    await asyncio.sleep(0)
    await streams.close()
    os.close(write)
    others, other_write = pipe_pair()
    assert others == read
    told = asyncio.Event()
    asyncio.get_running_loop().add_reader(others, told.set)
    assert await reading is None
    os.write(other_write, b"x")
    await asyncio.wait_for(told.wait(), 10)
    asyncio.get_running_loop().remove_reader(others)
    os.close(others)
    os.close(other_write)
