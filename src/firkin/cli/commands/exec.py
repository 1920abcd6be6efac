"""`firkin exec`: run another program in a running container and exit as it does."""

from __future__ import annotations

from firkin.cli.attached import Attached, check_terminal
from firkin.cli.command import Command
from firkin.cli.flags import Flag
from firkin.cli.window import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("detach", "d", "bool", "Detached mode: run command in the background"),
    Flag("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    Flag("env", "e", "list", "Set environment variables"),
    Flag("env-file", "", "list", "Read in a file of environment variables"),
    Flag("interactive", "i", "bool", "Keep STDIN open even if not attached"),
    Flag("privileged", "", "bool", "Give extended privileges to the command"),
    Flag("tty", "t", "bool", "Allocate a pseudo-TTY"),
    Flag("user", "u", "string", 'Username or UID (format: "<name|uid>[:<group|gid>]")'),
    Flag("workdir", "w", "string", "Working directory inside the container"),
)


def execute(context: Context, options: Options, arguments: list[str]) -> int:
    client, keys = context.client, options["detach-keys"] or context.settings.detach_keys
    attach = not options["detach"]
    if attach:
        check_terminal(options["tty"], options["interactive"])
    created = client.post(f"/containers/{arguments[0]}/exec", _request(options, arguments[1:], attach, keys))
    path = "/exec/" + created["Id"]
    begin = {"Detach": not attach, "Tty": options["tty"], **_console(options)}
    if not attach:
        client.post(path + "/start", begin)
        return 0
    user = Attached(client, path, options["tty"], options["interactive"], detach_keys=keys)
    stream = client.hijack(path + "/start", {}, begin)
    if not user.run(stream):
        return 0
    return int(client.get(path + "/json")["ExitCode"] or 0)


def _request(options: Options, command: list[str], attach: bool, keys: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Cmd": command,
        "Tty": options["tty"],
        "Privileged": options["privileged"],
        "User": options["user"],
        "WorkingDir": options["workdir"],
        "DetachKeys": keys,
        "AttachStdin": attach and options["interactive"],
        "AttachStdout": attach,
        "AttachStderr": attach,
        **_console(options),
    }
    if "env" in options or "env-file" in options:
        from firkin.cli.request.environment import variables

        body["Env"] = variables(options)
    return body


def _console(options: Options) -> dict[str, list[int]]:
    return {"ConsoleSize": list(size())} if options["tty"] else {}


COMMANDS = {
    "container exec": Command(execute, "[OPTIONS] CONTAINER COMMAND [ARG...]", FLAGS, least=2, most=None, interspersed=False)
}
