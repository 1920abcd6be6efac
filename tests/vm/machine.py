"""One machine of the lane: emulated, for nothing here may depend on the host having virtualisation for us."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm.image import Image
from tests.vm.kinds import Kind

_MEMORY = "2048M"


@dataclass(frozen=True)
class Outcome:
    """`tests`: what the plug-in inside said, in order; `finished`: whether all ran to their end; `console`: all it printed."""

    tests: list[dict[str, Any]]
    finished: bool
    console: str

    def of(self, file: str) -> list[dict[str, Any]]:
        """The tests of one file (or directory)."""
        return [one for one in self.tests if one["test"].startswith((file + "::", file + "/")) or one["test"] == file]


def run(image: Image, kind: Kind, scratch: Path, seconds: float) -> Outcome:
    """Boot, run inside what the kind runs, and stop; after `seconds` it is stopped as it is."""
    console, results = scratch / f"{kind.name}.console", [scratch / f"{kind.name}.{number}" for number in range(len(kind.runs))]
    with subprocess.Popen(_command(image, kind, console, results), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as qemu:
        try:
            qemu.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            qemu.kill()
    lines = [line for file in results for line in _lines(file)]
    return Outcome(
        tests=[line for line in lines if "test" in line],
        finished=sum("end" in line for line in lines) == len(results),
        console=console.read_text(errors="replace"),
    )


def _command(image: Image, kind: Kind, console: Path, results: list[Path]) -> list[str]:
    common = "console=ttyS0 panic=-1 quiet psi=1 mitigations=off random.trust_cpu=on"
    return [
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64"),
        *("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64", "-smp", "2", "-m", _MEMORY),
        *("-nodefaults", "-display", "none", "-no-reboot", "-net", "none"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", f"{common} lane={kind.name} {kind.append}"),
        # What it writes goes to a file that has no name, and the next machine finds the disk as it was made.
        *("-drive", f"file={image.disk},format=raw,if=virtio,cache=unsafe,snapshot=on"),
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
