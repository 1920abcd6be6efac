"""`firkin commit`."""

from __future__ import annotations

from firkin.cli import names
from firkin.cli.command import Command
from firkin.cli.commands.archives import CHANGE
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("author", "a", "string", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
    CHANGE,
    Flag("message", "m", "string", "Commit message"),
    Flag("pause", "p", "bool", "Pause container during commit", default="true"),
)


def commit(context: Context, options: Options, arguments: list[str]) -> int:
    repository = tag = ""
    if len(arguments) > 1:
        registry, path, tag, _ = names.split(arguments[1])
        repository = names.familiar(registry, path)
    query = {
        "container": arguments[0],
        "repo": repository,
        "tag": tag,
        "author": options["author"],
        "comment": options["message"],
        "changes": options["change"],
        "pause": "1" if options.get("pause", True) else "0",
    }
    print(context.client.call("POST", "/commit", query, {})["Id"])
    return 0


COMMANDS = {"container commit": Command(commit, "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", FLAGS, least=1, most=2)}
