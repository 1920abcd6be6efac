"""`firkin stats`."""

from __future__ import annotations

import sys
import time

from firkin.cli.command import Command
from firkin.cli.commands.common import TABLE_FORMAT
from firkin.cli.errors import DaemonError
from firkin.cli.flags import Flag
from firkin.cli.format import listing
from firkin.cli.format.usage import COLUMNS, FIELDS, nothing, summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.client import Client
    from firkin.cli.command import Context
    from firkin.cli.flags import Options
    from firkin.cli.http import Connection

FLAGS = (
    Flag("all", "a", "bool", "Show all containers (default shows just running)"),
    TABLE_FORMAT,
    Flag("no-stream", "", "bool", "Disable streaming stats and only pull the first result"),
    Flag("no-trunc", "", "bool", "Do not truncate output"),
)
INTERVAL = 1.0  # seconds between two looks


def stats(context: Context, options: Options, names: list[str]) -> int:
    client, form = context.client, options["format"] or context.settings.format("stats")
    once = options["no-stream"]
    previous: dict[str, Any] = {}
    while True:
        wanted = names or [each["Id"] for each in client.get("/containers/json", all=options["all"])]
        samples = _samples(client, wanted, one_shot=not once, strict=bool(names))
        shown = [summary(name, sample, previous.get(name)) if sample else nothing(name) for name, sample in samples.items()]
        if not once:
            sys.stdout.write("\033[H\033[J")
        listing.show(FIELDS, shown, COLUMNS, form, not options["no-trunc"])
        sys.stdout.flush()
        if once:
            return 0
        previous = samples
        time.sleep(INTERVAL)


def _samples(client: Client, names: list[str], one_shot: bool, strict: bool) -> dict[str, Any]:
    """One sample of each container, all asked for at once; None for one that has gone (unless `strict`)."""
    sent = [(name, _ask(client, name, one_shot)) for name in names]
    found: dict[str, Any] = {}
    for name, connection in sent:
        try:
            found[name] = next(client.documents(client.check(connection.response())), None)
        except DaemonError:
            if strict:
                raise
            found[name] = None
        connection.close()
    return found


def _ask(client: Client, name: str, one_shot: bool) -> Connection:
    """A one-shot sample comes at once; the other kind takes a second, so that it holds a share of CPU by itself."""
    connection = client.dial()
    client.send(connection, "GET", f"/containers/{name}/stats", {"stream": "0", "one-shot": one_shot})
    return connection


COMMANDS = {"container stats": Command(stats, "[OPTIONS] [CONTAINER...]", FLAGS, most=None)}
