"""A child that is held at its first step, until whoever makes its group has put it there.

If that one ends instead, so does the child (step `wait-group`). Source: pipe(7).
"""

from __future__ import annotations

import os


class Hold:
    """`inner` is the child's end, to be handed to it as "hold"."""

    def __init__(self) -> None:
        self.inner, self._outer = os.pipe2(os.O_CLOEXEC)

    def wait(self) -> None:
        """In a child that was forked, and does nothing else: until it is released, or who has forked it has ended."""
        os.close(self._outer)
        os.read(self.inner, 1)

    def release(self) -> None:
        os.write(self._outer, b"\0")  # this end of `inner` is open yet, so that a child that has failed meanwhile is no matter
        self.close()

    def close(self) -> None:
        os.close(self.inner)
        os.close(self._outer)
