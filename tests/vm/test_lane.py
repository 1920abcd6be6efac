"""The lane: Debian's stock kernel, cgroup version 2 alone, AppArmor on; whatever this machine has.

One machine is booted for all. Each file that ran inside is one test here, which fails with what failed inside, word for
word. A test may be skipped inside only for a reason that is known and listed: the machine is ours, and has all the rest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import image, machine

_SECONDS = 900.0  # where it has both processors to itself it takes less than half of that
INSIDE = sorted(str(file.relative_to(image.ROOT)) for file in (Path(__file__).parent / "inside").glob("test_*.py"))
# What depends most on the kernel: what a process finds, what limits it, what wires it.
OTHERS = [
    "tests/linux/test_cgroup.py",
    "tests/linux/test_kernel.py",
    "tests/linux/test_netlink.py",
    "tests/runtime/test_child.py",
    "tests/runtime/test_plan_kernel.py",
    "tests/runtime/test_spawn.py",
    "tests/runtime/test_launcher.py",
    "tests/network/test_reach.py",
    "tests/network/test_networks.py",
    "tests/network/test_rules.py",
    "tests/network/test_names.py",
]
LONGEST = ["tests/e2e/test_life.py"]  # side by side with the others
# They measure time, and time is not the same for an emulated processor.
TIMED = [
    "tests/linux/test_netlink.py::test_a_first_packet_is_not_lost",
    "tests/network/test_names.py::test_garbage_and_floods_do_no_harm",
    "tests/runtime/test_launcher.py::test_a_start_in_progress_survives_the_keeper",
]
_MAY_BE_SKIPPED = ("needs linux-libc-dev",)


@pytest.fixture(scope="module")
def lane() -> Iterator[machine.Outcome]:
    if lacking := image.missing():
        pytest.skip(lacking)
    scratch = Path(tempfile.mkdtemp(prefix="firkin-lane-", dir="/var/tmp"))
    try:
        made = image.build(scratch)
        apart = [f"--deselect={one}" for one in TIMED]
        yield machine.run(made, scratch, [[*INSIDE, *LONGEST], [*OTHERS, *apart]], _SECONDS)
    finally:
        shutil.rmtree(scratch)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # of which all but a moment is the machine's, and that has an end of its own
@pytest.mark.parametrize("file", [*INSIDE, *LONGEST, *OTHERS])
def test_inside(lane: machine.Outcome, file: str) -> None:
    ran = lane.of(file)
    failed = [one for one in ran if one["outcome"] == "failed"]
    assert not failed, "\n\n".join(f"{one['test']}\n{one['text']}" for one in failed)
    skipped = [f"{one['test']}: {one['text']}" for one in ran if one["outcome"] == "skipped"]
    assert all(text.endswith(_MAY_BE_SKIPPED) for text in skipped), "\n".join(skipped)
    assert any(one["outcome"] == "passed" for one in ran), f"nothing of it ran\n{lane.console[-3000:]}"


def test_the_machine_ran_to_its_end(lane: machine.Outcome) -> None:
    assert lane.finished, f"stopped after {_SECONDS} seconds\n{lane.console[-5000:]}"
