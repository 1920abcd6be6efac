"""`firkin logs`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.flags import Flag
from firkin.cli.format.units import query_time
from firkin.cli.stream import Frames, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

_WHEN = '(e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'
FLAGS = (
    Flag("details", "", "bool", "Show extra details provided to logs"),
    Flag("follow", "f", "bool", "Follow log output"),
    Flag("since", "", "string", f"Show logs since timestamp {_WHEN}"),
    Flag("tail", "n", "string", "Number of lines to show from the end of the logs", default="all"),
    Flag("timestamps", "t", "bool", "Show timestamps"),
    Flag("until", "", "string", f"Show logs before a timestamp {_WHEN}"),
)


def logs(context: Context, options: Options, arguments: list[str]) -> int:
    client, path = context.client, f"/containers/{arguments[0]}"
    tty = client.get(path + "/json")["Config"]["Tty"]
    query = {
        "stdout": True,
        "stderr": True,
        "since": query_time(options["since"]),
        "until": query_time(options["until"]),
        "timestamps": options["timestamps"],
        "follow": options["follow"],
        "tail": options["tail"] or "all",
        "details": options["details"],
    }
    frames = Frames()
    for piece in client.open("GET", path + "/logs", query).pieces():
        for stream, data in [(1, piece)] if tty else frames.feed(piece):
            write(stream, data)
    return 0


COMMANDS = {"container logs": Command(logs, "[OPTIONS] CONTAINER", FLAGS, least=1, most=1)}
