"""`firkin events`."""

from __future__ import annotations

import sys

from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.commands.common import FILTER, INSPECT_FORMAT, filters
from firkin.cli.flags import Flag
from firkin.cli.format.units import query_time, rfc3339
from firkin.cli.format.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    FILTER,
    Flag("format", "", "string", INSPECT_FORMAT.help),
    Flag("since", "", "string", "Show all events created since timestamp"),
    Flag("until", "", "string", "Stream events until this timestamp"),
)


def events(context: Context, options: Options, arguments: list[str]) -> int:
    query = {
        "since": query_time(options["since"]),
        "until": query_time(options["until"]),
        "filters": filters(options["filter"]),
    }
    form = options["format"]
    for event in context.client.documents(context.client.open("GET", "/events", query)):
        sys.stdout.write((_formatted(event, form) if form else visible(line(event))) + "\n")
        sys.stdout.flush()
    return 0


def _formatted(event: dict[str, Any], form: str) -> str:
    if form == "json":
        return jsontext.dumps(event)
    from firkin.cli.format.evaluate import render
    from firkin.cli.format.template import Template

    return render(Template(form), event)


def line(event: dict[str, Any]) -> str:
    """`2006-01-02T15:04:05.000000000Z07:00 container start ID (image=..., name=...)`."""
    seconds, nanoseconds = divmod(event["timeNano"], 10**9)
    stamp = rfc3339(seconds, f".{nanoseconds:09d}")
    attributes = event["Actor"].get("Attributes") or {}
    tail = ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes))
    return f"{stamp} {event['Type']} {event['Action']} {event['Actor']['ID']}" + (f" ({tail})" if tail else "")


COMMANDS = {"system events": Command(events, "[OPTIONS]", FLAGS)}
