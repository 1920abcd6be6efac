"""The command line starts fast: what it may load, and what it costs beside Docker's client."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time

import pytest

from firkin import paths
from firkin.cli import autostart, hosts
from tests.cli.recorder import Recorder
from tests.lab import FIRKIN

# Beside Firkin's own modules: written in C, or loaded by the interpreter anyway.
ALLOWED = {"__future__", "_collections_abc", "_stat", "genericpath", "os", "posixpath", "stat"}


def test_run_loads_next_to_nothing(recorder: Recorder) -> None:
    argv = autostart.interpreter()
    bare = recorder.run(sys.executable, *argv[1:4], "-c", "import sys; print(*sys.modules)").stdout.split()
    done = recorder.run(sys.executable, "-X", "importtime", *argv[1:], "run", "--rm", "image", "true")
    assert done.stdout == "hi\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()[1:]}
    extra = {name for name in loaded - set(bare) - ALLOWED - set(sys.builtin_module_names) if not name.startswith("firkin")}
    assert extra <= {"_json", "_bootlocale"}
    assert len([name for name in loaded if name.startswith("firkin")]) < 32


def test_the_default_socket_is_the_daemons() -> None:
    assert hosts.DEFAULT_HOST == paths.DEFAULT_HOST


def milliseconds(recorder: Recorder, argv: list[str]) -> float:
    """Wall time of one whole process, output thrown away."""
    null = os.open(os.devnull, os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
    begin = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, recorder.env, file_actions=streams)
    _, status = os.waitpid(pid, 0)
    os.close(null)
    assert status == 0
    return (time.perf_counter() - begin) * 1e3


def test_run_costs_no_more_than_dockers_client(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """The same toy daemon, which answers at once, for both; interleaved, so that other load hits both alike."""
    if not shutil.which("docker"):
        pytest.skip("no docker command on this machine")
    times: dict[str, list[float]] = {FIRKIN: [], "docker": []}
    for _ in range(25):
        for program, taken in times.items():
            taken.append(milliseconds(recorder, [program, "run", "--rm", "image", "true"]))
    ours, theirs = (statistics.median(taken[2:]) for taken in times.values())
    with capsys.disabled():
        print(f"\n  run, client alone: firkin {ours:.1f} ms, docker {theirs:.1f} ms (medians of 23)")
    assert ours < theirs * 1.15
