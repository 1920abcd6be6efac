"""Reading json-file logs back: tail, since, until, streams, rotation, following."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from firkin.model import LogEntry, LogRequest
from firkin.runtime.jsonlog import encode
from firkin.runtime.log_packing import pack_rotated, unmoved
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


@pytest.fixture
def packed(tmp_path: Path) -> Iterator[Written]:
    """Entries 0 to 39 in five files, of which the two oldest are packed."""
    log = Written(tmp_path, max_size=600, max_file=9)
    log.write(*range(20))
    pack_rotated(log.path)
    log.write(*range(20, 40))
    yield log
    log.writer.close()


def test_packed_files_are_read_like_others(packed: Written) -> None:
    names = sorted(os.listdir(os.path.dirname(packed.path)))
    assert names == ["log", "log.1", "log.2", "log.3.gz", "log.4.gz"]
    assert packed.read() == list(range(40))
    for count in (1, 10, 20, 25, 30, 39, 40, 99):
        assert packed.read(tail=count) == list(range(max(0, 40 - count), 40))
    assert packed.read(since=3 * 10**9, until=31 * 10**9) == list(range(3, 31))
    assert packed.read(stderr=False, tail=38) == list(range(2, 40, 2))
    pack_rotated(packed.path)
    assert sorted(os.listdir(os.path.dirname(packed.path)))[1:] == [f"log.{n}.gz" for n in (1, 2, 3, 4)]
    assert packed.read() == list(range(40)) and packed.read(tail=35) == list(range(5, 40))


def test_gzip_reads_what_is_packed(packed: Written) -> None:
    text = subprocess.run(["gzip", "-dc", packed.path + ".4.gz"], check=True, capture_output=True).stdout
    assert text.startswith(b'{"log":"0\\n"') and text.endswith(b"}\n")
    assert stat.S_IMODE(os.stat(packed.path + ".4.gz").st_mode) == 0o640


def test_as_many_files_stay_packed_or_not(packed: Written) -> None:
    for start in range(40, 400, 20):
        packed.write(*range(start, start + 20))
        if start % 40:
            pack_rotated(packed.path)
        there = packed.read()
        assert there == list(range(there[0], start + 20)) and len(os.listdir(os.path.dirname(packed.path))) <= 9
    assert len(there) > 60


def test_what_was_packed_when_somebody_was_killed_counts_once(packed: Written) -> None:
    shutil.copy(packed.path + ".4.gz", packed.path + ".2.gz")  # its place was taken, the other file was still there
    assert packed.read() == list(range(40))
    packed.write(*range(40, 60))
    pack_rotated(packed.path)
    assert packed.read() == list(range(60))


def test_a_damaged_file_is_read_up_to_there(packed: Written) -> None:
    with open(packed.path + ".4.gz", "r+b") as file:
        file.truncate(os.path.getsize(file.name) - 20)
    there = packed.read()
    assert there[-30:] == list(range(10, 40)) and there == sorted(set(there))
    with open(packed.path + ".4.gz", "wb"):
        assert packed.read()[-30:] == list(range(10, 40))


def test_nobody_holds_up_the_writer(packed: Written) -> None:
    """Who has the files for himself makes the log rotate later."""
    inode = os.stat(packed.path).st_ino
    with unmoved(packed.path) as unmoving:
        assert unmoving
        packed.write(*range(40, 80))
        assert os.stat(packed.path).st_ino == inode
    packed.write(80)
    assert os.stat(packed.path).st_ino != inode
    assert packed.read() == list(range(81))


@asynccontextmanager
async def following(path: str, seconds: float) -> AsyncIterator[list[int]]:
    """What a follower has seen, all of it at the end, which it comes to within so many seconds."""
    finished = False
    seen: list[int] = []

    async def watch() -> None:
        async for entry in follow(path, LogRequest(), lambda: finished):
            seen.append(int(entry.data))

    watching = asyncio.create_task(watch())
    yield seen
    finished = True
    await asyncio.wait_for(watching, seconds)


async def test_a_follower_reads_nothing_twice_however_it_is_packed(tmp_path: Path) -> None:
    log = Written(tmp_path, max_size=300, max_file=40)
    log.write(0)
    async with following(log.path, 10) as seen:
        await asyncio.sleep(0.1)
        for number in range(1, 120):
            log.write(number)
            if number % 10 == 0:
                await asyncio.to_thread(pack_rotated, log.path)
            if number % 25 == 0:  # several rotations, packed already, between two looks
                await asyncio.sleep(0.05)
    assert seen == list(range(120))
    log.writer.close()


WRITER = """import sys
from firkin.runtime.jsonlog import encode
from firkin.runtime.logwriter import LogWriter
writer = LogWriter({"path": sys.argv[1] + "/log", "max_size": 300, "max_file": 10000, "driver": "json-file", "attributes": ""})
number = int(sys.argv[2])
while True:
    writer.make_room()
    writer.append(encode([b"%d\\n" % number], "stdout", 5))
    number += 1"""
PACKER = """import sys
from firkin.runtime.log_packing import pack_rotated
while True: pack_rotated(sys.argv[1] + "/log")"""


def test_whoever_is_killed_no_line_is_lost_or_there_twice(tmp_path: Path) -> None:
    chance = random.Random(7)
    running: dict[str, subprocess.Popen[bytes]] = {}
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    numbers: list[int] = []
    (tmp_path / "log").touch()
    try:
        for _ in range(16):
            for script in (WRITER, PACKER):
                if script not in running:
                    running[script] = subprocess.Popen(
                        [sys.executable, "-c", script, str(tmp_path), str(len(numbers))], env=env
                    )
            time.sleep(chance.uniform(0.2, 0.4))
            for script in chance.choice(((WRITER,), (WRITER, PACKER))):
                victim = running.pop(script)
                victim.kill()
                assert victim.wait() == -signal.SIGKILL
            there = entries(str(tmp_path / "log"), LogRequest())
            numbers = [int(entry.data) for entry in there]
            assert numbers == list(range(len(numbers)))
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    assert len(numbers) > 500 and len(list(tmp_path.glob("*.gz"))) > 20


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
    async with following(written.path, 5) as seen:
        await asyncio.sleep(0.05)
        written.writer.cut_back(size)
        await asyncio.sleep(0.05)
        written.write(2, 3, 4)
    assert seen == [0, 1, 2, 3, 4]
