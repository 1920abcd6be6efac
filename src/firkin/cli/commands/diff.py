"""`firkin diff`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.format.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

KINDS = "CAD"  # the API's 0, 1, 2: changed, added, deleted


def diff(context: Context, options: Options, arguments: list[str]) -> int:
    for change in context.client.get(f"/containers/{arguments[0]}/changes") or ():
        print(KINDS[change["Kind"]], visible(change["Path"]))
    return 0


COMMANDS = {"container diff": Command(diff, "CONTAINER", least=1, most=1)}
