"""The lane's machine: emulated, for nothing here may depend on the host having virtualisation for us."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.vm.image import Image

_MEMORY = "2048M"


class Outcome:
    """`tests`: what the plug-in inside said, in order; `finished`: whether all ran to their end; `console`: all it printed."""

    def __init__(self, lines: list[dict[str, Any]], console: str, runs: int) -> None:
        self.tests = [line for line in lines if "test" in line]
        self.finished = sum("end" in line for line in lines) == runs
        self.console = console

    def of(self, file: str) -> list[dict[str, Any]]:
        """The tests of one file (or directory)."""
        return [one for one in self.tests if one["test"].startswith((file + "::", file + "/")) or one["test"] == file]


def run(image: Image, scratch: Path, runs: Sequence[Sequence[str]], seconds: float) -> Outcome:
    """Boot, run pytest inside with the arguments of each of `runs` (three at most) at once, and stop; after `seconds` it is
    stopped as it is."""
    console, results = scratch / "console", [scratch / f"results{number}" for number in range(len(runs))]
    lane = scratch / "lane"
    lane.write_text("".join(" ".join(arguments) + "\n" for arguments in runs))
    subprocess.run(["debugfs", "-w", "-R", f"write {lane} lane", str(image.disk)], check=True, capture_output=True, timeout=30)
    with subprocess.Popen(_command(image, console, results), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as qemu:
        try:
            qemu.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            qemu.kill()
    lines = [line for file in results for line in _lines(file)]
    return Outcome(lines, console.read_text(errors="replace"), len(runs))


def _command(image: Image, console: Path, results: list[Path]) -> list[str]:
    return [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
        *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64", "-smp", "2", "-m", _MEMORY),
        *("-nodefaults", "-display", "none", "-no-reboot", "-net", "none"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", "console=ttyS0 panic=-1 quiet psi=1 mitigations=off random.trust_cpu=on apparmor=1 security=apparmor"),
        *("-drive", f"file={image.disk},format=raw,if=virtio,cache=unsafe"),
        *(word for file in (console, *results) for word in ("-serial", f"file:{file}")),
    ]


def _lines(results: Path) -> list[dict[str, Any]]:
    found = []
    for line in results.read_text(errors="replace").splitlines() if results.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # the machine was stopped in the middle of a line
    return found
