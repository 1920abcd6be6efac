"""The child that becomes a container's process, seen from the command that starts it.

The invariant: a `Child` either reaches what it should, or the error names the step that did not work and it has been reaped.
"""

from __future__ import annotations

import errno
import os

from firkin.errors import Internal, Invalid
from firkin.linux import process
from firkin.runtime.oci import late
from firkin.runtime.spawn import Outcome, SpawnError, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.linux.netlink import Netlink
    from firkin.runtime.plan_terms import Plan, Step

_SIGKILL = 9
_SELF_EXPLAINING = ("exec", "find-program", "user", "hook")


class Child:
    """`pid` and `pidfd` of it, `console` the master of its terminal, if it has sent one."""

    def __init__(self, plan: Plan, handed: dict[str, int], netlink: Netlink) -> None:
        self._plan, self._outcome = plan, Outcome()
        try:
            self._spawned = spawn(plan, handed, netlink)
        except SpawnError as error:
            raise Internal(self._words(error.where, error.index, error.errno or 0, error.filename or "")) from None
        self._spawned.status.setblocking(True)

    @property
    def pid(self) -> int:
        return self._spawned.pid

    @property
    def pidfd(self) -> int:
        return self._spawned.pidfd

    @property
    def console(self) -> int | None:
        return self._outcome.console

    def progress(self) -> str:
        """What it has come to wait for ("hooks", "start"), or "" when its program runs. Raises when it has failed."""
        outcome, first = self._outcome, self._spawned.pid
        while not outcome.done and not outcome.waits_for:
            try:
                outcome.receive(self._spawned.status)
            except ConnectionResetError:  # it ended without reading its release; what it said is still to come
                continue
            if self._spawned.follow(outcome):
                os.waitpid(first, 0)
        if outcome.failure:
            index, number, detail = outcome.failure
            os.waitpid(self.pid, 0)
            raise Invalid(f"unable to start container process: {self._words('child', index, number, detail)}")
        return outcome.waits_for

    def go_on(self) -> None:
        """What it has waited for is done."""
        self._outcome.waits_for = ""
        try:
            self._spawned.status.send(b"\0")
        except BrokenPipeError:  # it has ended already
            pass

    def let_go(self) -> None:
        """Nothing more is to be heard of it here."""
        self._spawned.status.close()

    def end(self) -> None:
        """Kill it, unless it has failed already."""
        self.let_go()
        if self._outcome.failure is None:
            try:
                process.pidfd_send_signal(self.pidfd, _SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass

    def operations(self) -> list[str]:
        """What its steps are called, for somebody who hears only of the number of the one that failed."""
        return [str(step[0]) for step in self._plan["child"]]

    def _words(self, where: str, index: int, number: int, detail: str) -> str:
        steps: list[Step] = self._plan[where] if where != "clone" else []
        step = steps[index] if 0 <= index < len(steps) else None
        if step and step[0] in _SELF_EXPLAINING and detail:
            return detail
        what = late.module("describe").describe(step) if step else "" if detail else where
        return words(what, number, detail)


def words(what: str, number: int, detail: str) -> str:
    """`what` went wrong: `detail`, and the error `number`."""
    reason = os.strerror(number).lower() if number else ""
    return ": ".join(part for part in (what, detail, reason) if part) or "helper process failed"


def explain(operation: str, number: int, detail: str) -> str:
    """The same, with only the step's name at hand."""
    return detail if operation in _SELF_EXPLAINING and detail else words(operation, number, detail)


def open_namespaces(paths: dict[str, str]) -> dict[str, int]:
    """A descriptor for each of `namespace_paths`. Raises `Invalid` naming the field."""
    opened: dict[str, int] = {}
    for name, path in paths.items():
        try:
            opened[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            for fd in opened.values():
                os.close(fd)
            reason = os.strerror(error.errno or errno.EINVAL).lower()
            raise Invalid(f"linux.namespaces: {name.removeprefix('ns-')}: open {path}: {reason}") from None
    return opened
