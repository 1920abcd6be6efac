"""How a promise is tried: values until the time is up, each within bounds of time and memory.

A fuzz test is a check of drawn values whose docstring is the promise. By default the draws are the same on every run, and
as many on a fast machine as on a slower one, so that none finds what another did not; with `--fuzz-seconds` they begin somewhere new, and a failure names the
`--fuzz-seed` that repeats it. What was found once is tried first: `@remembered`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

BATCH = 100
LONGEST = 2.0  # seconds of processor time for one value; the usual is a millisecond
MOST_MEMORY = 512 << 20  # bytes beyond what the process has already

Check = Callable[..., None]

_QUIET = settings(
    max_examples=BATCH,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)


class Budget:
    """What one test may spend, where its draws begin, and after how many batches they end at the latest."""

    def __init__(self, seconds: float, first: int, most: float) -> None:
        self.seconds, self.first, self.most = seconds, first, most


def remembered(*values: Any) -> Callable[[Check], Check]:
    """Try these values first: they broke the promise once."""

    def decorate(check: Check) -> Check:
        check.__dict__.setdefault("remembered", []).insert(0, values)
        return check

    return decorate


def fuzzed(*values: st.SearchStrategy[Any]) -> Callable[[Check], Check]:
    """Make a check of drawn `values` a test. One more parameter of it, called `cell` or `daemon`, is that fixture."""

    def decorate(check: Check) -> Check:
        def test(budget: Budget) -> None:
            _run(check, st.tuples(*values), budget)

        def test_in_cell(budget: Budget, cell: Any) -> None:
            _run(check, st.tuples(*values, st.just(cell)), budget, cell)

        def test_of_daemon(budget: Budget, daemon: Any) -> None:
            _run(check, st.tuples(*values, st.just(daemon)), budget, daemon)

        parameters = check.__code__.co_varnames[: check.__code__.co_argcount]
        made = test_in_cell if "cell" in parameters else test_of_daemon if "daemon" in parameters else test
        made.__name__, made.__doc__, made.__module__ = check.__name__, check.__doc__, check.__module__
        return pytest.mark.fuzz(made)

    return decorate


def _run(check: Check, values: st.SearchStrategy[tuple[Any, ...]], budget: Budget, *fixtures: Any) -> None:
    ends, number = time.monotonic() + budget.seconds, budget.first
    with memory_limit():
        for known in check.__dict__.get("remembered", ()):
            _bounded(check, (*known, *fixtures))
        while number == budget.first or (time.monotonic() < ends and number - budget.first < budget.most):

            def batch(drawn: tuple[Any, ...]) -> None:
                _bounded(check, drawn)

            try:
                _QUIET(seed(number)(given(values)(batch)))()
            except BaseException as error:
                error.add_note(f"--fuzz-seed {number} repeats it")
                raise
            number += 1


def _bounded(check: Check, values: tuple[Any, ...]) -> None:
    began = time.process_time()
    check(*values)
    spent = time.process_time() - began
    assert spent < LONGEST, f"{spent:.1f} s of processor time for one value"


@contextmanager
def memory_limit() -> Iterator[None]:
    """Within, the process may grow by `MOST_MEMORY`: what asks for more gets a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + MOST_MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def passes(parse: Callable[[], Any], *allowed: type[BaseException]) -> Any:
    """What `parse` yields, or None for one of the `allowed` errors; any other error is a finding."""
    try:
        return parse()
    except allowed:
        return None
