"""What becomes of a container's output: the log, attached clients, and the end of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.runtime.herd import eventually, herd

from firkin.model import LogRequest
from firkin.runtime.logfile import read


def read_all(fd: int) -> bytes:
    """To the end of the pipe."""
    with open(fd, "rb") as pipe:
        return pipe.read()


async def test_log_and_clients_get_both_streams_to_the_last_byte(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        (out, sink_out), (err, sink_err) = os.pipe(), os.pipe()
        await herded.run("c", "echo one; echo two >&2; printf three", sink_out=sink_out, sink_err=sink_err)
        os.close(sink_out)
        os.close(sink_err)
        assert await asyncio.to_thread(read_all, out) == b"one\nthree"
        assert await asyncio.to_thread(read_all, err) == b"two\n"
        await herded.shepherds.drained("c")
        assert [entry["log"] for entry in herded.entries("c") if entry["stream"] == "stdout"] == ["one\n", "three"]
        assert herded.text("c", "stderr") == "two\n"


async def test_a_terminal_is_one_stream_and_can_be_had_again(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        spawned = await herded.run("c", "read word; echo got $word", tty=True)
        assert spawned.console is not None
        os.close(spawned.console)
        again = await herded.shepherds.console("c")
        assert again is not None
        os.write(again, b"this\n")
        os.close(again)
        await herded.exit_of("c")
        await herded.shepherds.drained("c")
        assert herded.text("c") == "this\r\ngot this\r\n"
        assert await herded.shepherds.console("c") is None


async def test_attach_sees_what_comes_after(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        first, second = herded.gate(), herded.gate()
        await herded.run("c", f"echo before; {first.wait}; printf 'after: no newline'; {second.wait}")
        await eventually(lambda: herded.text("c") == "before\n")
        read_end, sink = os.pipe()
        assert await herded.shepherds.attach("c", sink, None)
        os.close(sink)
        await first.open()
        assert await asyncio.to_thread(os.read, read_end, 100) == b"after: no newline"
        await second.open()
        assert await asyncio.to_thread(read_all, read_end) == b""


async def test_attach_to_what_has_ended_is_the_end(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        read_end, sink = os.pipe()
        assert not await herded.shepherds.attach("never", sink, None)
        os.close(sink)
        assert read_all(read_end) == b""


async def test_a_slow_client_holds_the_container_back_and_loses_nothing(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        read_end, sink = os.pipe()
        await herded.run("c", "seq 200000", sink_out=sink)
        os.close(sink)
        await asyncio.sleep(0.2)
        assert not herded.exits
        assert os.path.getsize(herded.log_path("c")) < 2_000_000
        assert await asyncio.to_thread(read_all, read_end) == "".join(f"{n}\n" for n in range(1, 200001)).encode()
        await herded.exit_of("c")


async def test_a_client_that_vanishes_is_dropped_and_the_rest_goes_on(tmp_path: Path) -> None:
    """One leaves without having read, with data waiting for it; the other still gets everything."""
    async with herd(tmp_path) as herded:
        (gone, sink), (stays, sink_too) = os.pipe(), os.pipe()
        gate = herded.gate()
        await herded.run("c", f"{gate.wait}; seq 100000", sink_out=sink)
        await herded.shepherds.attach("c", sink_too, None)
        os.close(sink)
        os.close(sink_too)
        reading = asyncio.create_task(asyncio.to_thread(read_all, stays))
        await gate.open()
        await asyncio.sleep(0.1)
        os.close(gone)
        assert len(await asyncio.wait_for(reading, 10)) == len("".join(f"{n}\n" for n in range(1, 100001)))


async def test_an_attached_client_stays_attached_whoever_dies(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        read_end, sink = os.pipe()
        gates = [herded.gate() for _ in range(4)]
        script = "; ".join(f"{gate.wait}; echo {number}" for number, gate in enumerate(gates))
        await herded.run("c", script, sink_out=sink)
        os.close(sink)
        for gate, victim in zip(gates, ("launcher", "keeper", "launcher", "keeper"), strict=True):
            await herded.kill(victim)
            await gate.open()
        assert await asyncio.to_thread(read_all, read_end) == b"0\n1\n2\n3\n"
        assert herded.text("c") == "0\n1\n2\n3\n"


async def test_no_descriptor_stays_behind(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        pids = [herded.pid("keeper"), herded.pid("launcher")]

        def descriptors() -> list[list[str]]:
            return [sorted(os.listdir(f"/proc/{pid}/fd"), key=int) for pid in pids]

        await herded.run("first", "true")
        await herded.shepherds.drained("first")
        await asyncio.sleep(0.1)  # the launcher is the last to hear of it
        before = descriptors()
        for number in range(5):
            read_end, sink = os.pipe()
            spawned = await herded.run(f"c{number}", "sleep 0.05; echo x", sink_out=sink, tty=number % 2 == 1)
            late, late_sink = os.pipe()
            await herded.shepherds.attach(f"c{number}", late_sink, None)
            for fd in (read_end, sink, late, late_sink, spawned.console):
                if fd is not None:
                    os.close(fd)
        for number in range(5):
            await herded.shepherds.drained(f"c{number}")
        await eventually(lambda: descriptors() == before)


async def test_rotation(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        await herded.run(
            "c", "for i in $(seq 40); do seq $((i*100)) $((i*100+99)); sleep 0.005; done", max_size=20_000, max_file=3
        )
        await herded.exit_of("c")
        await herded.shepherds.drained("c")
        directory = os.path.dirname(herded.log_path("c"))
        assert sorted(os.listdir(directory)) == ["c", "c.1", "c.2"]
        assert all(os.path.getsize(os.path.join(directory, name)) < 70_000 for name in os.listdir(directory))
        numbers = [int(entry.data) async for entry in read(herded.log_path("c"), LogRequest())]
        assert numbers == list(range(numbers[0], 4100))
        assert len(numbers) > 400


@pytest.mark.parametrize("options", [{"driver": "none"}, {"path": "/dev/full"}, {"path": "/does/not/exist"}])
async def test_without_a_log_clients_still_get_everything(tmp_path: Path, options: dict[str, str]) -> None:
    async with herd(tmp_path) as herded:
        read_end, sink = os.pipe()
        await herded.run("c", "seq 1000; printf end", sink_out=sink, **options)
        os.close(sink)
        assert (await asyncio.to_thread(read_all, read_end)).endswith(b"1000\nend")
        await herded.shepherds.drained("c")
        assert not os.path.exists(herded.log_path("c"))


async def test_output_of_a_straggler_can_be_cut_off(tmp_path: Path) -> None:
    """A process outside the container's pid namespace may keep its pipes; the daemon decides how long that counts."""
    async with herd(tmp_path) as herded:
        await herded.run("c", "sleep 5 & echo $!; printf tail")
        await herded.exit_of("c")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(herded.shepherds.drained("c"), 0.1)
        await herded.shepherds.cut_off("c")
        straggler, tail = herded.text("c").split("\n")
        os.kill(int(straggler), 9)
        assert tail == "tail"


async def test_the_same_container_again_while_a_straggler_has_its_pipes(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        await herded.run("c", "sleep 5 & echo $!")
        await herded.exit_of("c")
        herded.exits.clear()
        await herded.run("c", "echo second")
        await herded.exit_of("c")
        await asyncio.wait_for(herded.shepherds.drained("c"), 1)
        straggler, second, _ = herded.text("c").split("\n")
        os.kill(int(straggler), 9)
        assert second == "second"


async def test_the_next_daemon_finds_everything(tmp_path: Path) -> None:
    async with herd(tmp_path) as herded:
        await herded.run("ended", "echo done; exit 3")
        gate = herded.gate()
        await herded.run("goes on", f"echo one; {gate.wait}; echo two")
        herded.shepherds.close()
        await eventually(lambda: os.path.lexists(f"{herded.layout.exited}/ended"))
        herded.exits.clear()
        await herded.connect()
        assert [(name, os.waitstatus_to_exitcode(status)) for name, _, status, _ in herded.exits] == [("ended", 3)]
        await herded.shepherds.drained("ended")
        await gate.open()
        await herded.shepherds.drained("goes on")
        assert herded.text("goes on") == "one\ntwo\n"
        await herded.exit_of("goes on")


async def test_logging_costs_little(tmp_path: Path) -> None:
    """In the keeper's own processor time, whatever else the machine does: over 50 MB of short lines a second."""
    async with herd(tmp_path) as herded:
        await herded.run("c", "yes 'a line of some forty characters, as usual' | head -c 50000000")
        await herded.exit_of("c")
        await herded.shepherds.drained("c")
        user, system = Path(f"/proc/{herded.pid('keeper')}/stat").read_text().rpartition(")")[2].split()[11:13]
        assert os.path.getsize(herded.log_path("c")) > 100_000_000
        assert (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") < 1
