"""`firkin start`: several in the background, or one attached."""

from __future__ import annotations

import sys

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
    Flag("attach", "a", "bool", "Attach STDOUT/STDERR and forward signals"),
    Flag("checkpoint", "", "string", "Restore from this checkpoint"),
    Flag("checkpoint-dir", "", "string", "Use a custom checkpoint storage directory"),
    Flag("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    Flag("interactive", "i", "bool", "Attach container's STDIN"),
)


def start(context: Context, options: Options, names: list[str]) -> int:
    if options["attach"] or options["interactive"]:
        if len(names) > 1:
            raise Failure("you cannot start and attach multiple containers at once")
        return _attached(context, options, names[0])
    failed = []
    query = {"checkpoint": options["checkpoint"], "checkpoint-dir": options["checkpoint-dir"]}
    for name in names:
        try:
            context.client.post(f"/containers/{name}/start", **query)
            print(name, flush=True)
        except Failure as error:
            print(error.message, file=sys.stderr)
            failed.append(name)
    if failed:
        raise Failure("Error: failed to start containers: " + ", ".join(failed))
    return 0


def _attached(context: Context, options: Options, name: str) -> int:
    client = context.client
    details = client.get(f"/containers/{name}/json")
    config, path = details["Config"], "/containers/" + details["Id"]
    stdin = options["interactive"] and config["OpenStdin"]
    check_terminal(config["Tty"], stdin)
    keys = options["detach-keys"] or context.settings.detach_keys
    user = Attached(client, path, config["Tty"], stdin, True, keys)
    streams = {
        "stdin": stdin,
        "stdout": config["AttachStdout"] or options["attach"],
        "stderr": config["AttachStderr"] or options["attach"],
    }
    stream = open_attach(client, path, frozenset(each for each, wanted in streams.items() if wanted), keys)
    waiting = open_wait(client, path, "removed" if details["HostConfig"]["AutoRemove"] else "next-exit")
    attached = client.check(stream.response("POST")).connection
    result = client.check(waiting.response("POST"))
    client.post(path + "/start")
    return exit_code(result) if user.run(attached) else 0


COMMANDS = {"container start": Command(start, "[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, least=1, most=None)}
