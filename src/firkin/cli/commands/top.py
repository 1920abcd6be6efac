"""`firkin top`."""

from __future__ import annotations

import sys

from firkin.cli.command import Command
from firkin.cli.format import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def top(context: Context, options: Options, arguments: list[str]) -> int:
    name, *ps_options = arguments
    found = context.client.get(f"/containers/{name}/top", ps_args=" ".join(ps_options))
    sys.stdout.write(table.layout([found["Titles"], *found["Processes"]], least=20, padding=3))
    return 0


COMMANDS = {"container top": Command(top, "CONTAINER [ps OPTIONS]", least=1, most=None, interspersed=False)}
