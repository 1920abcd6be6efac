"""`firkin rm` and `firkin rmi`."""

from __future__ import annotations

import sys

from firkin.cli.command import Command
from firkin.cli.commands.common import for_each
from firkin.cli.errors import DaemonError, Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

RM_FLAGS = (
    Flag("force", "f", "bool", "Force the removal of a running container (uses SIGKILL)"),
    Flag("link", "l", "bool", "Remove the specified link"),
    Flag("volumes", "v", "bool", "Remove anonymous volumes associated with the container"),
)
RMI_FLAGS = (
    Flag("force", "f", "bool", "Force removal of the image"),
    Flag("no-prune", "", "bool", "Do not delete untagged parents"),
    Flag(
        "platform",
        "",
        "strings",
        'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
    ),
)


def containers(context: Context, options: Options, names: list[str]) -> int:
    query = {"force": options["force"], "link": options["link"], "v": options["volumes"]}

    def forgive(error: DaemonError) -> bool:
        return options["force"] and error.status == 404

    cleaned = [name.strip("/") for name in names]
    return for_each(context.client, cleaned, "DELETE", "/containers/{}", query, forgive=forgive)


def images(context: Context, options: Options, names: list[str]) -> int:
    """One after the other: removing one image may take another's layers along."""
    problems, missing_only = [], True
    for name in names:
        try:
            removed = context.client.delete(
                f"/images/{name}", force=options["force"], noprune=options["no-prune"], platforms=options["platform"]
            )
        except DaemonError as error:
            problems.append(error.message)
            missing_only = missing_only and error.status == 404
            continue
        for each in removed or ():
            for verb in ("Untagged", "Deleted"):
                if verb in each:
                    print(f"{verb}: {each[verb]}")
    if problems and options["force"] and missing_only:
        print("\n".join(problems), file=sys.stderr)
    elif problems:
        raise Failure("\n".join(problems))
    return 0


COMMANDS = {
    "container rm": Command(containers, "[OPTIONS] CONTAINER [CONTAINER...]", RM_FLAGS, least=1, most=None),
    "image rm": Command(images, "[OPTIONS] IMAGE [IMAGE...]", RMI_FLAGS, least=1, most=None),
}
