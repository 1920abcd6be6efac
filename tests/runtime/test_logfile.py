"""Reading json-file logs back: tail, since, until, streams, rotation, following."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.model import LogEntry, LogRequest
from firkin.runtime.jsonlog import encode
from firkin.runtime.logfile import follow, read
from firkin.runtime.logwriter import LogWriter


class Written:
    """A log with a writer of its own; entry n says "n", on stderr if odd, at n seconds after the epoch."""

    def __init__(self, directory: Path, max_size: int = 0, max_file: int = 1) -> None:
        self.path = str(directory / "log")
        settings = {"path": self.path, "max_size": max_size, "max_file": max_file, "driver": "json-file", "attributes": ""}
        self.writer = LogWriter(settings)

    def write(self, *numbers: int) -> None:
        for number in numbers:
            self.writer.make_room()
            self.writer.append(encode([b"%d\n" % number], "stderr" if number % 2 else "stdout", number * 10**9 + 5))

    def read(self, **request: int | bool) -> list[int]:
        return [int(entry.data) for entry in entries(self.path, LogRequest(**request))]  # type: ignore[arg-type]


def entries(path: str, request: LogRequest) -> list[LogEntry]:
    async def gather() -> list[LogEntry]:
        return [entry async for entry in read(path, request)]

    return asyncio.run(gather())


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    log = Written(tmp_path)
    yield log
    log.writer.close()


def test_entries_have_all_their_parts(written: Written) -> None:
    written.write(7)
    written.writer.append(encode([b"8\nand\n"], "stdout", 8, b'{"a":"\\u003c"}'))
    assert entries(written.path, LogRequest()) == [
        LogEntry("stderr", 7_000_000_005, b"7\n"),
        LogEntry("stdout", 8, b"8\n", {"a": "<"}),
        LogEntry("stdout", 8, b"and\n", {"a": "<"}),
    ]


async def test_a_writer_faster_than_its_reader_is_not_followed(written: Written) -> None:
    written.write(0)
    seen = []
    async for entry in read(written.path, LogRequest()):
        seen.append(int(entry.data))
        written.write(len(seen))
    assert seen == [0]


def test_no_file_no_entries(tmp_path: Path) -> None:
    assert entries(str(tmp_path / "none"), LogRequest(tail=3)) == []


@pytest.mark.parametrize(
    ("tail", "expected"), [(0, []), (1, [9]), (3, [7, 8, 9]), (10, list(range(10))), (99, list(range(10)))]
)
def test_tail(written: Written, tail: int, expected: list[int]) -> None:
    written.write(*range(10))
    with open(written.path, "ab") as file:
        file.write(b'{"log":"not whole yet')
    assert written.read(tail=tail) == expected


def test_tail_counts_before_the_streams_are_told_apart(written: Written) -> None:
    written.write(*range(10))
    assert written.read(tail=4, stdout=False) == [7, 9]


def test_since_and_until(written: Written) -> None:
    written.write(*range(10))
    assert written.read(since=3 * 10**9, until=6 * 10**9) == [3, 4, 5]


def test_rotation_keeps_the_newest_files(tmp_path: Path) -> None:
    log = Written(tmp_path, max_size=200, max_file=3)
    log.write(*range(20))
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    assert all(os.path.getsize(tmp_path / name) < 300 for name in os.listdir(tmp_path))
    there = log.read()
    assert there == list(range(there[0], 20))
    assert 6 <= len(there) <= 12
    assert log.read(tail=5) == [15, 16, 17, 18, 19]
    log.writer.close()


def test_one_file_only_starts_again(tmp_path: Path) -> None:
    log = Written(tmp_path, max_size=200, max_file=1)
    log.write(*range(20))
    assert os.listdir(tmp_path) == ["log"]
    assert log.read()[-1] == 19
    log.writer.close()


@pytest.mark.parametrize(("max_size", "max_file"), [(0, 1), (300, 4), (300, 1)])
async def test_follow_until_finished(tmp_path: Path, max_size: int, max_file: int) -> None:
    """Every entry, also across rotations, and the end at once."""
    log = Written(tmp_path, max_size, max_file)
    log.write(0, 1, 2)
    finished = False

    async def write() -> None:
        nonlocal finished
        for number in range(3, 60):
            log.write(number)
            await asyncio.sleep(0.002)
        log.write(60)
        finished = True

    writing = asyncio.create_task(write())
    async with asyncio.timeout(5):
        seen = [int(entry.data) async for entry in follow(log.path, LogRequest(tail=1), lambda: finished)]
    await writing
    assert seen == list(range(2, 61))
    log.writer.close()


async def test_follow_waits_out_a_batch_being_rewritten(written: Written) -> None:
    """A new keeper cuts back what its predecessor had appended, then appends the same again."""
    written.write(0, 1)
    size = written.writer.size
    written.write(2, 3)
    finished = False
    seen = []

    async def watch() -> None:
        async for entry in follow(written.path, LogRequest(), lambda: finished):
            seen.append(int(entry.data))

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.05)
    written.writer.cut_back(size)
    await asyncio.sleep(0.05)
    written.write(2, 3, 4)
    finished = True
    await asyncio.wait_for(watching, 5)
    assert seen == [0, 1, 2, 3, 4]
