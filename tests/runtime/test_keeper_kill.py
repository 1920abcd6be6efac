"""Output, order and exit status survive SIGKILL of keeper and launcher, at any moment, without a daemon."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.runtime.herd import Herd, eventually, herd

from firkin.runtime.journal import Journal

ROUNDS = 40
LINES = 500  # a round; block-buffered, so that most reads end in the middle of a line
COUNT = (
    f"k=0; while [ $k -lt {ROUNDS} ]; do seq $((k*{LINES})) $((k*{LINES}+{LINES - 1})); k=$((k+1)); sleep 0.02; done; exit 7"
)
EXPECTED = "".join(f"{number}\n" for number in range(ROUNDS * LINES))


@pytest.mark.parametrize("tty", [False, True], ids=["pipes", "tty"])
@pytest.mark.parametrize("victims", [["keeper"], ["launcher"], ["keeper", "launcher"]], ids=lambda v: "+".join(v))
async def test_every_line_once_and_the_exit_status(tmp_path: Path, victims: list[str], tty: bool) -> None:
    chance = random.Random(repr((victims, tty)))
    async with herd(tmp_path) as herded:
        spawned = await herded.run("c1", COUNT, tty=tty)
        if spawned.console is not None:
            os.close(spawned.console)
        herded.shepherds.close()
        kills = 0
        while os.path.lexists(f"{herded.layout.running}/c1"):
            await asyncio.sleep(chance.uniform(0, 0.03))
            await herded.kill(chance.choice(victims))
            kills += 1
        await herded.connect()
        _, pid, status, _ = await herded.exit_of("c1")
        await herded.shepherds.drained("c1")
        assert (pid, os.waitstatus_to_exitcode(status)) == (spawned.pid, 7)
        assert herded.text("c1").replace("\r", "") == EXPECTED
        assert all(entry["log"].endswith("\n") for entry in herded.entries("c1"))
        assert kills > 1
        assert await herded.shepherds.shutdown()
        await eventually(lambda: not herded.processes())


# Until told to stop. Every batch of the second ends in another way: in a line begun, in the next one begun, in none.
WHOLE = "i=0; while [ ! -e {stop} ]; do seq $i $((i+99)); i=$((i+100)); sleep 0.005; done"
CUT = r"""i=0; while [ ! -e {stop} ]; do
    printf "one $i"; sleep 0.003; printf " two $i\nthree $i"; sleep 0.003; echo " four $i"; sleep 0.003; i=$((i+1))
done"""
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@needs_strace
async def test_killed_before_every_system_call_of_a_batch(tmp_path: Path) -> None:
    """SIGKILL on entering the n-th call of each kind, with a line held unfinished from batch to batch."""
    async with herd(tmp_path) as herded:
        stop = tmp_path / "stop"
        await herded.run("whole", WHOLE.format(stop=stop))
        await herded.run("cut", CUT.format(stop=stop))
        for call in ("splice", "tee", "read", "write", "pwrite64"):
            for nth in range(1, 5):
                await _kill_on_entering(herded, call, nth)
        stop.touch()
        for name in ("whole", "cut"):
            await herded.exit_of(name)
            await herded.shepherds.drained(name)
        whole, cut = herded.entries("whole"), herded.entries("cut")
        assert [entry["log"] for entry in whole] == [f"{number}\n" for number in range(len(whole))]
        lines = [line for i in range(len(cut) // 2) for line in (f"one {i} two {i}\n", f"three {i} four {i}\n")]
        assert [entry["log"] for entry in cut] == lines


def test_a_successor_reads_what_was_half_read_by_the_same_pipe() -> None:
    """It is given no other: its own could be too small for a batch, if it is an ordinary user's who has many (pipe(7))."""
    keeper = Journal()
    os.write(keeper.target, b"in flight")
    os.write(keeper.fds[-1], b"half r")
    before = os.listdir("/proc/self/fd")
    heir = Journal(list(keeper.fds))
    heir.take_over()
    assert heir.peek() == b"in flight"
    heir.drain()
    assert heir.peek() == b""
    assert os.listdir("/proc/self/fd") == before
    for fd in keeper.fds:
        os.close(fd)


@needs_strace
async def test_killed_while_the_last_unfinished_line_is_logged(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        for call, nth in [(call, nth) for call in ("pwrite64", "write", "tee", "splice") for nth in (1, 2)]:
            name, gate = f"{call}{nth}", herded.gate()
            await herded.run(name, f"printf unfinished; {gate.wait}")
            await asyncio.sleep(0.02)
            killing = asyncio.create_task(_kill_on_entering(herded, call, nth))
            await asyncio.sleep(0.1)
            await gate.open()
            await herded.run("other", "sleep 0.02; echo so that every call comes; echo twice")
            await killing
            await herded.shepherds.drained(name)
            assert [entry["log"] for entry in herded.entries(name)] == ["unfinished"]


async def _kill_on_entering(herded: Herd, call: str, nth: int) -> None:
    keeper = herded.pid("keeper")
    inject = f"inject={call}:signal=KILL:when={nth}"
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, "-p", str(keeper)), stderr=subprocess.DEVNULL
    )
    await tracer.wait()
    await eventually(
        lambda: herded.pid("keeper") not in (0, keeper) and herded.pid("launcher") not in (0, herded.pid("keeper"))
    )
