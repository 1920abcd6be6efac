"""`firkin update`: change a container's limits while it runs."""

from __future__ import annotations

import sys

from firkin.cli.command import Command
from firkin.cli.errors import DaemonError, Failure
from firkin.cli.flags import Flag
from firkin.cli.request.body import copy_targets
from firkin.cli.request.resource_flags import LIMITS
from firkin.cli.request.restart import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (*LIMITS, Flag("restart", "", "string", "Restart policy to apply when a container exits"))


def update(context: Context, options: Options, names: list[str]) -> int:
    if not options:
        raise Failure("you must provide one or more flags when using this command")
    body: dict[str, Any] = {"HostConfig": {}}
    copy_targets(body, options)
    request = body["HostConfig"]
    if "restart" in options:
        request["RestartPolicy"] = policy(options["restart"])
    problems = []
    for name in names:
        try:
            answer = context.client.post(f"/containers/{name}/update", request)
        except DaemonError as error:
            problems.append(error.message)
            continue
        print(name, flush=True)
        for warning in answer.get("Warnings") or ():
            print(warning, file=sys.stderr)
    if problems:
        raise Failure("\n".join(problems))
    return 0


COMMANDS = {"container update": Command(update, "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)}
