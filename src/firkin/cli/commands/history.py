"""`firkin history`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import TABLE_FORMAT
from firkin.cli.flags import Flag
from firkin.cli.format import listing, units
from firkin.cli.format.containers import ellipsis
from firkin.cli.names import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    TABLE_FORMAT,
    Flag("human", "H", "bool", "Print sizes and dates in human readable format", default="true"),
    Flag("no-trunc", "", "bool", "Don't truncate output"),
    Flag(
        "platform",
        "",
        "string",
        'Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
    ),
    Flag("quiet", "q", "bool", "Only show image IDs"),
)
YEAR_2000 = 946684800  # earlier dates are made up, by builds that want to be reproducible


def _created_by(item: dict[str, Any], trunc: bool) -> str:
    text = item["CreatedBy"].replace("\t", " ")
    return ellipsis(text, 45) if trunc else text


def fields(human: bool) -> dict[str, tuple[str, Any]]:
    """The columns of a history; sizes and ages in words or as plain numbers and dates."""

    def since(item: dict[str, Any], trunc: bool) -> str:
        if not human:
            return units.rfc3339(item["Created"])
        return units.ago(item["Created"]) if item["Created"] > YEAR_2000 else "N/A"

    return {
        "Comment": ("COMMENT", lambda item, trunc: item["Comment"]),
        "CreatedAt": ("CREATED AT", lambda item, trunc: units.rfc3339(item["Created"])),
        "CreatedBy": ("CREATED BY", _created_by),
        "CreatedSince": ("CREATED", since),
        "ID": ("IMAGE", lambda item, trunc: short_id(item["Id"]) if trunc else item["Id"]),
        "Size": ("SIZE", lambda item, trunc: units.size(item["Size"], 3) if human else str(item["Size"])),
    }


def history(context: Context, options: Options, arguments: list[str]) -> int:
    human, trunc = options.get("human", True), not options["no-trunc"]
    found = context.client.get(f"/images/{arguments[0]}/history", platform=options["platform"])
    if options["quiet"]:
        listing.quiet(short_id(each["Id"]) if trunc else each["Id"] for each in found)
        return 0
    columns = ("ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment")
    listing.show(fields(human), found, columns, options["format"], trunc)
    return 0


COMMANDS = {"image history": Command(history, "[OPTIONS] IMAGE", FLAGS, least=1, most=1)}
