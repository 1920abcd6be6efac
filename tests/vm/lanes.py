"""All machines of the lane, one after the other, in a process of its own beside the tests that need none.

It is as nice as can be of some use: other tests measure time. What it has to say goes to a file without a name, and it ends
with the process that started it, however that ends; so a crash or an interrupt leaves no machine and no file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.vm import image, machine
from tests.vm.kinds import KINDS, ROOT

SECONDS = 1500.0  # for one machine; where it has both processors to itself it takes a third of that
_NICE = 10


LANES = pytest.StashKey["Lanes"]()


class Unavailable(Exception):
    """This machine lacks something that the lane is made of."""


class Lanes:
    """Starts the process; `outcome` waits for one machine of it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._says = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "tests.vm.lanes", *names],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._says, stderr=self._says, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def outcome(self, name: str) -> machine.Outcome:
        """Raises `Unavailable`, or `RuntimeError` with what it printed if it ended without one."""
        while True:
            ended = self._process.poll() is not None  # before the look: it may say something and end
            said = os.pread(self._says.fileno(), os.fstat(self._says.fileno()).st_size, 0).decode(errors="replace")
            for line in _complete(said):
                if line.get("lacks"):
                    raise Unavailable(line["lacks"])
                if line.get("kind") == name:
                    return machine.Outcome(**line["outcome"])
            if ended:
                raise RuntimeError(f"the lane ended before {name}\n{said[-2000:]}")
            time.sleep(0.2)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """For a few seconds of somebody else's measuring."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        finally:
            self._process.kill()
            self._says.close()


def _complete(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines(keepends=True) if line.startswith("{") and line.endswith("}\n")]


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)


def _be_nice() -> None:
    os.nice(_NICE)
    try:  # sched(7): where sessions share the processors, niceness counts only within one
        Path("/proc/self/autogroup").write_text(str(_NICE))
    except OSError:
        pass


def _end(signal_number: int, frame: FrameType | None) -> None:
    sys.exit(128 + signal_number)


def _remove(scratch: Path) -> None:
    """What was killed a moment ago may still be writing."""
    for _ in range(50):
        shutil.rmtree(scratch, ignore_errors=True)
        if not scratch.exists():
            return
        time.sleep(0.1)


def main(names: list[str]) -> None:
    signal.signal(signal.SIGTERM, _end)
    _be_nice()
    scratch = Path(tempfile.mkdtemp(prefix=f"firkin-lane-{os.getpid()}-", dir="/var/tmp"))
    try:
        made = image.build(scratch)
        for kind in KINDS:
            if kind.name in names:
                _say(kind=kind.name, outcome=dataclasses.asdict(machine.run(made, kind, scratch, SECONDS)))
    except image.NotHere as error:
        _say(lacks=str(error))
    finally:
        _remove(scratch)


if __name__ == "__main__":
    main(sys.argv[1:])
