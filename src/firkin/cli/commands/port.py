"""`firkin port`."""

from __future__ import annotations

from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.format.containers import join_address
from firkin.cli.format.order import natural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def port(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[0]
    published = context.client.get(f"/containers/{name}/json")["NetworkSettings"]["Ports"] or {}
    if len(arguments) > 1:
        wanted = arguments[1] if "/" in arguments[1] else arguments[1] + "/tcp"
        bindings = published.get(wanted)
        if not bindings:
            raise Failure(f"Error: No public port '{arguments[1]}' published for {name}")
        lines = [join_address(each["HostIp"], each["HostPort"]) for each in bindings]
    else:
        lines = [
            f"{inside} -> {join_address(each['HostIp'], each['HostPort'])}"
            for inside, bindings in published.items()
            for each in bindings or ()
        ]
    for line in sorted(lines, key=natural):
        print(line)
    return 0


COMMANDS = {"container port": Command(port, "CONTAINER [PRIVATE_PORT[/PROTO]]", least=1, most=2)}
