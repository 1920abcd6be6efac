"""The life cycle's hooks that run in the runtime's namespaces: prestart, createRuntime, poststart, poststop.

Source: runtime-spec config.md "POSIX-platform Hooks", runtime.md "Lifecycle".
"""

from __future__ import annotations

from firkin.errors import Internal
from firkin.oci import json_text
from firkin.runtime import hook as program
from firkin.runtime.oci.record import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from firkin.oci.runtime_config import Hook
    from firkin.runtime.oci.failure import Log
    from firkin.runtime.oci.record import Record

_PID, _STATUS = "\0pid", "STATUS"


def halves(record: Record) -> tuple[str, str]:
    """The state's JSON before and after the pid, for the hooks that the child runs; see `plan_hooks`."""
    # In this order, so that the first "STATUS" is the one to replace, whatever annotations hold.
    content = {"status": _STATUS, "pid": _PID, **{k: v for k, v in state(record, "").items() if k not in ("status", "pid")}}
    before, _, after = json_text.dumps(content).partition(json_text.dumps(_PID))
    return before, after


def run(kind: str, hooks: Iterable[Hook], record: Record, status: str) -> None:
    """All of them in order. Raises `Internal` for the first that fails."""
    text = json_text.dumps(state(record, status))
    for index, hook in enumerate(hooks):
        try:
            program.run(hook.path, list(hook.args or (hook.path,)), list(hook.env), hook.timeout or 0, text)
        except OSError as error:
            raise Internal(f"error running {kind} hook #{index} {hook.path}: {error.filename}") from None


def run_all(kind: str, hooks: Iterable[Hook], record: Record, status: str, log: Log) -> None:
    """The same, but a failure is only a warning and does not keep the others from running."""
    for hook in hooks:
        try:
            run(kind, (hook,), record, status)
        except Internal as error:
            log.warn(error.message)
