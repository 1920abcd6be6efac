"""A bound on how long the engine thinks about what a client asks it to look for.

Docker's regular expressions (Go's, RE2) take time in proportion to the text; Python's may take for ever, and nothing else is
done meanwhile. A timer's signal ends them, for the matcher looks for signals every few thousand steps. Invariant: only for
code that changes nothing, in the main thread, which is the event loop's: it is left wherever it is.
Source: setitimer(2); CPython `Modules/_sre/sre_lib.h` (MAYBE_CHECK_SIGNALS).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from firkin.errors import Invalid

_MOST = 1.0  # seconds of processor time


@contextmanager
def thinking(about: str) -> Iterator[None]:
    """Raises `Invalid` once the block has used that much."""

    def enough(*_: object) -> None:
        raise Invalid(f"{about}: takes too long")

    before = signal.signal(signal.SIGVTALRM, enough)
    signal.setitimer(signal.ITIMER_VIRTUAL, _MOST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
