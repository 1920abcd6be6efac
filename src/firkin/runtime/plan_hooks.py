"""Steps for the life cycle's hooks, and for the pause between `create` and `start`. Part of `plan`.

Hooks of the runtime's namespaces are run by whoever launches, while the child waits; those of the container's are run by
the child itself. Source: runtime-spec config.md "POSIX-platform Hooks", runtime.md "Lifecycle".
"""

from __future__ import annotations

from firkin.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from firkin.oci.runtime_config import Hook, Hooks
    from firkin.runtime.plan_terms import Step

    State = tuple[str, str] | None  # the state's JSON, without its status and pid: see `_hook`


def before_pivot(hooks: Hooks | None, state: State) -> Iterator[Step]:
    """The mounts are there, and the host's root still is: a createContainer hook is a program of the host."""
    if hooks:
        if state is None:
            raise Unsupported("plan container: hooks are not implemented here")
        if hooks.prestart or hooks.create_runtime:
            yield ("wait-hooks",)
        yield from _hooks("createContainer", hooks.create_container, state, "creating")


def with_start(become: Iterable[Step], hooks: Hooks | None, gate: str, state: State) -> Iterator[Step]:
    """`become`, with the wait for `start` once no descriptor of the runtime's is left, but before the filter, which need not
    allow waiting; and startContainer hooks, which have the program's privileges, right before it."""
    steps = list(become)
    program, environment = steps[-1][1][0], steps[-1][2]
    for step in steps:
        if step[0] == "exec" and hooks and hooks.start_container and state:
            yield from _hooks("startContainer", hooks.start_container, state, "created")
        yield step
        if step[0] == "close-fds" and gate:
            path = next((entry[5:] for entry in reversed(environment) if entry.startswith("PATH=")), "")
            yield "find-program", program, path
            yield "wait-start", gate


def _hooks(kind: str, hooks: Iterable[Hook], state: tuple[str, str], status: str) -> Iterator[Step]:
    """The child puts its pid, as its own namespace has it, between the two halves of the state."""
    before, after = state
    before = before.replace("STATUS", status, 1)
    for hook in hooks:
        yield "hook", kind, hook.path, list(hook.args or (hook.path,)), list(hook.env), hook.timeout or 0, before, after
