"""`firkin images`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import FILTER, TABLE_FORMAT, filters
from firkin.cli.flags import Flag
from firkin.cli.format import listing
from firkin.cli.format.images import COLUMNS, FIELDS, rows
from firkin.cli.names import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("all", "a", "bool", "Show all images (default hides intermediate images)"),
    Flag("digests", "", "bool", "Show digests"),
    FILTER,
    TABLE_FORMAT,
    Flag("no-trunc", "", "bool", "Don't truncate output"),
    Flag("quiet", "q", "bool", "Only show image IDs"),
)


def images(context: Context, options: Options, arguments: list[str]) -> int:
    conditions = filters(options["filter"])
    if arguments:
        conditions.setdefault("reference", {})[arguments[0]] = True
    form = options["format"] or ("" if options["quiet"] else context.settings.format("images"))
    found = context.client.get(
        "/images/json", all=options["all"], digests=options["digests"] or ".Digest" in form, filters=conditions
    )
    shown = rows(found, options["digests"], options["digests"] or "{{.Digest}}" in form)
    trunc = not options["no-trunc"]
    if options["quiet"]:
        listing.quiet(short_id(row["Id"]) if trunc else row["Id"] for row in shown)
        return 0
    columns = (*COLUMNS[:2], "Digest", *COLUMNS[2:]) if options["digests"] else COLUMNS
    listing.show(FIELDS, shown, columns, form, trunc)
    return 0


COMMANDS = {"image ls": Command(images, "[OPTIONS] [REPOSITORY[:TAG]]", FLAGS, most=1)}
