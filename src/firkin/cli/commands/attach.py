"""`firkin attach`: connect to a container that is already running."""

from __future__ import annotations

from firkin.cli.attached import Attached, check_terminal
from firkin.cli.command import Command
from firkin.cli.commands.run import exit_code, open_attach, open_wait
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    Flag("no-stdin", "", "bool", "Do not attach STDIN"),
    Flag("sig-proxy", "", "bool", "Proxy all received signals to the process", default="true"),
)


def attach(context: Context, options: Options, arguments: list[str]) -> int:
    client, path = context.client, f"/containers/{arguments[0]}"
    details = client.get(path + "/json")
    config, state = details["Config"], details["State"]
    for flag, problem in (
        ("Paused", "paused container, unpause it first"),
        ("Restarting", "restarting container, wait until it is running"),
    ):
        if state[flag]:
            raise Failure("You cannot attach to a " + problem)
    if not state["Running"]:
        raise Failure("You cannot attach to a stopped container, start it first")
    stdin = not options["no-stdin"] and config["OpenStdin"]
    check_terminal(config["Tty"], stdin)
    keys = options["detach-keys"] or context.settings.detach_keys
    user = Attached(client, path, config["Tty"], stdin, options.get("sig-proxy", True), keys)
    waiting = open_wait(client, path, "")
    streams = frozenset(("stdin", "stdout", "stderr") if stdin else ("stdout", "stderr"))
    stream = open_attach(client, path, streams, keys)
    result = client.check(waiting.response("POST"))
    return exit_code(result) if user.run(client.check(stream.response("POST")).connection) else 0


COMMANDS = {"container attach": Command(attach, "[OPTIONS] CONTAINER", FLAGS, least=1, most=1)}
