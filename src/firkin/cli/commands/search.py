"""`firkin search`: Docker Hub's search, as far as the daemon offers it."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import FILTER, filters
from firkin.cli.flags import Flag
from firkin.cli.format import listing
from firkin.cli.format.containers import ellipsis

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    FILTER,
    Flag("format", "", "string", "Pretty-print search using a Go template"),
    Flag("limit", "", "int", "Max number of search results"),
    Flag("no-trunc", "", "bool", "Don't truncate output"),
)


def _description(item: dict[str, Any], trunc: bool) -> str:
    text = item["description"].replace("\n", " ").replace("\r", " ")
    return ellipsis(text, 45) if trunc else text


FIELDS: dict[str, tuple[str, Any]] = {
    "Description": ("DESCRIPTION", _description),
    "IsOfficial": ("OFFICIAL", lambda item, trunc: "[OK]" if item["is_official"] else ""),
    "Name": ("NAME", lambda item, trunc: item["name"]),
    "StarCount": ("STARS", lambda item, trunc: str(item["star_count"])),
}


def search(context: Context, options: Options, arguments: list[str]) -> int:
    limit = options.get("limit")
    found = context.client.get("/images/search", term=arguments[0], limit=limit, filters=filters(options["filter"]))
    found.sort(key=lambda item: -item["star_count"])
    listing.show(FIELDS, found, ("Name", "Description", "StarCount", "IsOfficial"), options["format"], not options["no-trunc"])
    return 0


COMMANDS = {"search": Command(search, "[OPTIONS] TERM", FLAGS, least=1, most=1)}
