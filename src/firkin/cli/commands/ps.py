"""`firkin ps`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import FILTER, TABLE_FORMAT, filters
from firkin.cli.flags import Flag
from firkin.cli.format import listing
from firkin.cli.format.containers import COLUMNS, FIELDS
from firkin.cli.names import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("all", "a", "bool", "Show all containers (default shows just running)"),
    FILTER,
    TABLE_FORMAT,
    Flag("last", "n", "int", "Show n last created containers (includes all states)", default="-1"),
    Flag("latest", "l", "bool", "Show the latest created container (includes all states)"),
    Flag("no-trunc", "", "bool", "Don't truncate output"),
    Flag("quiet", "q", "bool", "Only display container IDs"),
    Flag("size", "s", "bool", "Display total file sizes"),
)


def ps(context: Context, options: Options, arguments: list[str]) -> int:
    form = options["format"] or ("" if options["quiet"] else context.settings.format("ps"))
    sized = options["size"] or ".Size" in form or "{{json .}}" in form
    last = 1 if options["latest"] else max(options.get("last", -1), 0)
    found = context.client.get(
        "/containers/json", all=options["all"], limit=last or None, size=sized, filters=filters(options["filter"])
    )
    trunc = not options["no-trunc"]
    if options["quiet"]:
        listing.quiet(short_id(each["Id"]) if trunc else each["Id"] for each in found)
        return 0
    columns = (*COLUMNS, "Size") if options["size"] else COLUMNS
    listing.show(FIELDS, found, columns, form, trunc)
    return 0


COMMANDS = {"container ls": Command(ps, "[OPTIONS]", FLAGS)}
