"""`firkin help [COMMAND]`."""

from __future__ import annotations

from firkin.cli import catalog, usage
from firkin.cli.command import Command, load
from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def show_help(context: Context, options: Options, arguments: list[str]) -> int:
    name = " ".join(arguments)
    entry = catalog.find(name)
    if not name:
        print(usage.overview(), end="")
    elif name in catalog.GROUPS:
        print(usage.group(name), end="")
    elif entry:
        print(usage.command(load(entry), entry, name), end="")
    else:
        raise Failure(usage.unknown(name, ""))
    return 0


COMMANDS = {"help": Command(show_help, "[COMMAND]", most=2)}
