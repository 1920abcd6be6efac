"""The verbs that change a container's state and take little more than names: stop, restart, kill, pause, unpause,
wait, rename."""

from __future__ import annotations

from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.commands.common import for_each
from firkin.cli.errors import DaemonError, Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options
    from firkin.cli.http import Response

SIGNAL = Flag("signal", "s", "string", "Signal to send to the container")
TIMEOUT = Flag("timeout", "t", "int", "Seconds to wait before killing the container")
MANY = "CONTAINER [CONTAINER...]"


def _with_timeout(verb: str, context: Context, options: Options, names: list[str]) -> int:
    query = {"signal": options["signal"], "t": options.get("timeout")}
    return for_each(context.client, names, "POST", f"/containers/{{}}/{verb}", query)


def stop(context: Context, options: Options, names: list[str]) -> int:
    return _with_timeout("stop", context, options, names)


def restart(context: Context, options: Options, names: list[str]) -> int:
    return _with_timeout("restart", context, options, names)


def kill(context: Context, options: Options, names: list[str]) -> int:
    return for_each(context.client, names, "POST", "/containers/{}/kill", {"signal": options["signal"] or "KILL"})


def pause(context: Context, options: Options, names: list[str]) -> int:
    return for_each(context.client, names, "POST", "/containers/{}/pause", {})


def unpause(context: Context, options: Options, names: list[str]) -> int:
    return for_each(context.client, names, "POST", "/containers/{}/unpause", {})


def wait(context: Context, options: Options, names: list[str]) -> int:
    """Print each exit code, in the order of the names."""

    def code(name: str, response: Response) -> str:
        return str(jsontext.loads(response.read().decode())["StatusCode"])

    return for_each(context.client, names, "POST", "/containers/{}/wait", {}, code)


def rename(context: Context, options: Options, names: list[str]) -> int:
    try:
        context.client.post(f"/containers/{names[0]}/rename", name=names[1])
    except DaemonError as error:
        raise Failure(f"{error.message}\nError: failed to rename container named {names[0]}") from None
    return 0


COMMANDS = {
    "container stop": Command(stop, "[OPTIONS] " + MANY, (SIGNAL, TIMEOUT), least=1, most=None),
    "container restart": Command(restart, "[OPTIONS] " + MANY, (SIGNAL, TIMEOUT), least=1, most=None),
    "container kill": Command(kill, "[OPTIONS] " + MANY, (SIGNAL,), least=1, most=None),
    "container pause": Command(pause, MANY, least=1, most=None),
    "container unpause": Command(unpause, MANY, least=1, most=None),
    "container wait": Command(wait, MANY, least=1, most=None),
    "container rename": Command(rename, "CONTAINER NEW_NAME", least=2, most=2),
}
