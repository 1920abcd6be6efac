"""The daemon's progress messages (`JSONMessage` of the API): plain lines to a file, bars on a terminal.

Raises the error a stream ends with. Plain output leaves the moving numbers out, as docker's does.
"""

from __future__ import annotations

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

    Message = dict[str, Any]


def follow(messages: Iterable[Message], out: TextIO | None, on_aux: Callable[[Any], None] | None = None) -> None:
    """Show messages as they come (`out` None: not at all) and raise what went wrong. `aux` values go to `on_aux`."""
    if out is not None and out.isatty():
        from firkin.cli.progress_bars import Bars

        with Bars(out) as bars:
            for message in _checked(messages, on_aux):
                bars.show(message)
        return
    for message in _checked(messages, on_aux):
        if out is not None:
            out.write(plain(message))
            out.flush()


def _checked(messages: Iterable[Message], on_aux: Callable[[Any], None] | None) -> Iterable[Message]:
    for message in messages:
        if problem := message.get("error") or (message.get("errorDetail") or {}).get("message"):
            raise Failure(problem)
        if "aux" in message:
            if on_aux:
                on_aux(message["aux"])
        else:
            yield message


def plain(message: Message) -> str:
    """One line, or nothing for a message that only moves a bar."""
    if "stream" in message:
        return str(message["stream"])
    status = str(message.get("status", ""))
    if (message.get("progressDetail") or message.get("progress")) and status:
        return ""
    prefix = f"{message['id']}: " if message.get("id") else ""
    return f"{prefix}{status}\n"
