"""Progress on a terminal: one line a layer, with a bar while bytes are counted. `rich` is imported here and nowhere else."""

from __future__ import annotations

from firkin.cli.format import units
from firkin.cli.libraries import add_site_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, TextIO


class Bars:
    """Lines by id, moving together; a message without an id is printed above them."""

    def __init__(self, out: TextIO) -> None:
        add_site_packages()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[amount]}")
        self.progress = Progress(*columns, console=Console(file=out, highlight=False))
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def show(self, message: dict[str, Any]) -> None:
        if "stream" in message or not message.get("id") or _is_title(message):
            self.progress.console.print(_text(message), markup=False, soft_wrap=True)
            return
        name = message["id"]
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task("", total=None, amount="")
        detail = message.get("progressDetail") or {}
        done, total = detail.get("current", 0), detail.get("total", 0)
        finished = not detail and message["status"] != "Waiting"
        self.progress.update(
            self.tasks[name],
            description=f"{name}: {message['status']}",
            completed=total or 1 if finished else done,
            total=total or (1 if finished else None),
            amount=f"{units.size(done)}/{units.size(total)}" if total else units.size(done) if done else "",
        )


def _is_title(message: dict[str, Any]) -> bool:
    """`latest: Pulling from library/alpine` names a tag, not a layer."""
    return str(message.get("status", "")).startswith("Pulling from ")


def _text(message: dict[str, Any]) -> str:
    if "stream" in message:
        return str(message["stream"]).rstrip("\n")
    return f"{message['id']}: {message['status']}" if message.get("id") else str(message.get("status", ""))
