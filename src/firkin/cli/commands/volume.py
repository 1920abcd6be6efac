"""`firkin volume create`, `ls` and `rm`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.commands.common import TABLE_FORMAT, filters, for_each
from firkin.cli.flags import Flag
from firkin.cli.format import listing
from firkin.cli.format.order import natural
from firkin.cli.format.volumes import FIELDS
from firkin.cli.request.body import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

CREATE_FLAGS = (
    Flag("driver", "d", "string", "Specify volume driver name", default="local"),
    Flag("label", "", "list", "Set metadata for a volume"),
    Flag("opt", "o", "map", "Set driver specific options", default="map[]"),
)
LIST_FLAGS = (
    Flag("filter", "f", "filter", 'Provide filter values (e.g. "dangling=true")'),
    TABLE_FORMAT,
    Flag("quiet", "q", "bool", "Only display volume names"),
)


def create(context: Context, options: Options, arguments: list[str]) -> int:
    body = {
        "Name": arguments[0] if arguments else "",
        "Driver": options["driver"] or "local",
        "DriverOpts": dict(pairs(options["opt"])),
        "Labels": dict(pairs(options["label"])),
    }
    print(context.client.post("/volumes/create", body)["Name"])
    return 0


def ls(context: Context, options: Options, arguments: list[str]) -> int:
    found = context.client.get("/volumes", filters=filters(options["filter"]))["Volumes"] or []
    found.sort(key=lambda volume: natural(volume["Name"]))
    form = options["format"] or ("" if options["quiet"] else context.settings.format("volumes"))
    if options["quiet"] and not form:
        listing.quiet(volume["Name"] for volume in found)
        return 0
    listing.show(FIELDS, found, ("Driver", "Name"), form)
    return 0


def rm(context: Context, options: Options, names: list[str]) -> int:
    return for_each(context.client, names, "DELETE", "/volumes/{}", {"force": options["force"]})


COMMANDS = {
    "volume create": Command(create, "[OPTIONS] [VOLUME]", CREATE_FLAGS, most=1),
    "volume ls": Command(ls, "[OPTIONS]", LIST_FLAGS),
    "volume rm": Command(
        rm,
        "[OPTIONS] VOLUME [VOLUME...]",
        (Flag("force", "f", "bool", "Force the removal of one or more volumes"),),
        least=1,
        most=None,
    ),
}
