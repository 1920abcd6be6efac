"""The lane: Debian's stock kernel as several kinds of machine, whatever this machine has.

Each file that ran inside one is a test here, which fails with what failed inside, word for word.
"""

from __future__ import annotations

import pytest

from tests.vm import machine
from tests.vm.kinds import KINDS, Kind
from tests.vm.lanes import SECONDS, Lanes, Unavailable

# Of a test's time all but a moment is spent waiting for machines, and each of those has an end of its own.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(len(KINDS) * SECONDS + 300)]


def outcome(lanes: Lanes, kind: Kind) -> machine.Outcome:
    try:
        return lanes.outcome(kind.name)
    except Unavailable as lacking:
        pytest.skip(str(lacking))


@pytest.mark.parametrize(
    ("kind", "file"), [pytest.param(kind, file, id=f"{kind.name}-{file}") for kind in KINDS for file in kind.files]
)
def test_inside(lanes: Lanes, kind: Kind, file: str) -> None:
    ran = outcome(lanes, kind).of(file)
    failed = [one for one in ran if one["outcome"] == "failed"]
    assert not failed, "\n\n".join(f"{one['test']}\n{one['text']}" for one in failed)
    skipped = [f"{one['test']}: {one['text']}" for one in ran if one["outcome"] == "skipped"]
    assert all(text.endswith(kind.may_be_skipped) for text in skipped), "\n".join(skipped)
    assert any(one["outcome"] == "passed" for one in ran), f"nothing of it ran\n{outcome(lanes, kind).console[-3000:]}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_machine_ran_to_its_end(lanes: Lanes, kind: Kind) -> None:
    ended = outcome(lanes, kind)
    assert ended.finished, f"stopped after {SECONDS} seconds\n{ended.console[-5000:]}"
