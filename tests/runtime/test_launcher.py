"""Starting processes from plans: what is reported, recorded, and left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.herd import ENV, eventually, herd, plan

from firkin.errors import Unavailable
from firkin.runtime.background import command
from firkin.runtime.client import SpawnFailed

NULL = ("stdio", "null", "null", "null")


async def test_a_container_is_recorded_before_anybody_hears_of_it(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        spawned = await herded.run("c", "exec sleep 5")
        pid, ticks = os.readlink(f"{herded.layout.running}/c").split()
        assert int(pid) == spawned.pid
        assert ticks == Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        signal.pidfd_send_signal(spawned.pidfd, signal.SIGTERM)
        ended = await herded.exit_of("c")
        assert os.readlink(f"{herded.layout.exited}/c") == "{1} {2} {3}".format(*ended)
        assert os.waitstatus_to_exitcode(ended[2]) == -signal.SIGTERM
        assert not os.listdir(herded.layout.running)


async def test_an_exec_is_announced_but_not_recorded(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        await herded.shepherds.spawn(plan("e", [NULL, ("exec", ["false"], ENV)], [], None, record=False), {})
        ended = await herded.exit_of("e")
        assert os.waitstatus_to_exitcode(ended[2]) == 1
        assert not os.listdir(herded.layout.running)
        assert not os.listdir(herded.layout.exited)


async def test_the_step_that_failed_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        read_end, sink = os.pipe()
        steps: list[tuple[Any, ...]] = [
            ("stdio", "null", "out", "out"),
            ("cwd", "/no/such/place", False),
            ("exec", ["true"], ENV),
        ]
        handed = {"stdout_r": read_end, "out": sink, "sink_out": sink}
        log = {
            "path": herded.log_path("c"),
            "max_size": 0,
            "max_file": 1,
            "driver": "json-file",
            "tty": False,
            "attributes": "",
        }
        with pytest.raises(SpawnFailed) as failure:
            await herded.shepherds.spawn(plan("c", steps, list(handed), log), handed)
        assert (failure.value.where, failure.value.index, failure.value.errno) == ("child", 1, 2)
        os.close(sink)
        os.close(read_end)
        await herded.shepherds.drained("c")
        assert not os.listdir(herded.layout.running)
        await asyncio.sleep(0.05)
        assert not herded.exits
        assert await herded.shepherds.shutdown()


async def test_a_plan_may_be_large(tmp_path: Path) -> None:
    """Larger than any socket buffer: environments may have megabytes."""
    async with herd(tmp_path) as herded:
        many = [f"V{number}={'x' * 1000}" for number in range(1500)]
        out, sink = os.pipe()
        steps = [("stdio", "null", "out", "null"), ("exec", ["sh", "-c", "env | wc -c"], [*ENV, *many])]
        await herded.shepherds.spawn(plan("e", steps, ["out"], None, record=False), {"out": sink})
        os.close(sink)
        assert int(await asyncio.to_thread(os.read, out, 100)) > 1_500_000


async def test_many_at_once(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        await asyncio.gather(*(herded.run(f"c{number}", f"echo {number}; exit {number}") for number in range(60)))
        await eventually(lambda: len(herded.exits) == 60)
        for name, _, status, _ in herded.exits:
            await herded.shepherds.drained(name)
            assert f"c{os.waitstatus_to_exitcode(status)}" == name
            assert herded.text(name) == name[1:] + "\n"


async def test_a_start_in_progress_survives_the_keeper(tmp_path: Path) -> None:
    """The launcher answers what it was asked before it takes the keeper's place."""
    async with herd(tmp_path) as herded:
        starts = [asyncio.create_task(herded.run(f"c{number}", "sleep 1")) for number in range(20)]
        await asyncio.sleep(0.005)
        os.kill(herded.pid("keeper"), signal.SIGKILL)
        started = await asyncio.gather(*starts)
        assert len({spawned.pid for spawned in started}) == 20
        assert len(os.listdir(herded.layout.running)) == 20


async def test_a_start_lost_with_the_launcher_is_reported(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        os.kill(herded.pid("launcher"), signal.SIGSTOP)
        start = asyncio.create_task(herded.run("c", "true"))
        await asyncio.sleep(0.05)
        os.kill(herded.pid("launcher"), signal.SIGKILL)
        with pytest.raises(Unavailable):
            await start
        await herded.run("c", "exit 4")
        assert os.waitstatus_to_exitcode((await herded.exit_of("c"))[2]) == 4


async def test_exit_status_after_both_have_been_replaced_twice(tmp_path: Path) -> None:
    """No process of the first generation is left but the parent of last resort; it has the status, and it is told."""
    async with herd(tmp_path) as herded:
        gate = herded.gate()
        await herded.run("c", f"{gate.wait}; exit 9")
        for victim in ("launcher", "keeper", "keeper", "launcher"):
            await herded.kill(victim)
        await gate.open()
        assert os.waitstatus_to_exitcode((await herded.exit_of("c"))[2]) == 9
        assert os.path.lexists(f"{herded.layout.exited}/c")


async def test_orphans_of_containers_are_buried(tmp_path: Path) -> None:
    """A process whose parent has gone becomes the keeper's; it must not stay a zombie."""
    async with herd(tmp_path) as herded:
        gate = herded.gate()
        await herded.run("c", f"(sh -c '{gate.wait}' & echo $!)")
        await herded.exit_of("c")
        await eventually(lambda: herded.text("c").endswith("\n"))  # the exit may be told first
        orphan = int(herded.text("c"))
        assert Path(f"/proc/{orphan}/stat").read_text().split()[3] == str(herded.pid("keeper"))
        await gate.open()
        await eventually(lambda: not os.path.exists(f"/proc/{orphan}"))


async def test_containers_inherit_nothing_of_the_launcher(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        await herded.run("c", "ls /proc/self/fd; grep SigIgn /proc/self/status; grep SigBlk /proc/self/status")
        await herded.exit_of("c")
        await herded.shepherds.drained("c")
        *fds, ignored, blocked = herded.text("c").split("\n")[:-1]
        assert fds == ["0", "1", "2", "3"]  # 3 is what ls reads the directory with
        assert ignored.split()[1] == blocked.split()[1] == "0" * 16


async def test_both_start_again_when_both_are_gone(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        herded.end()
        await asyncio.sleep(0.01)
        await herded.run("c", "exit 5")
        assert os.waitstatus_to_exitcode((await herded.exit_of("c"))[2]) == 5


async def test_there_is_never_a_second_pair(tmp_path: Path) -> None:
    """Started by hand beside a pair that does not answer, a keeper ends at once."""
    async with herd(tmp_path) as herded:
        for which in ("keeper", "launcher"):
            os.kill(herded.pid(which), signal.SIGSTOP)
        second = await asyncio.create_subprocess_exec(*command("keeper", herded.layout.exec_root), stderr=subprocess.PIPE)
        _, complaint = await second.communicate()
        assert second.returncode == 1
        assert complaint == b"there are a keeper and a launcher already\n"


async def test_nothing_ends_while_a_container_runs(tmp_path: Path) -> None:
    """Not even one that has closed its output and so has none to come."""
    async with herd(tmp_path) as herded:
        gate = herded.gate()
        await herded.run("c", f"exec >&- 2>&-; {gate.wait}")
        await herded.shepherds.drained("c")
        assert not await herded.shepherds.shutdown()
        await gate.open()
        await herded.exit_of("c")
        assert await herded.shepherds.shutdown()
        await eventually(lambda: not herded.processes())
        assert not [name for name in os.listdir(herded.layout.exec_root) if name.endswith(".sock")]
