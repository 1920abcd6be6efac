"""`firkin run`: create, attach, wait, start; then copy streams until the container ends, and exit as it did.

The order matters: attached before started, so that no output is missed; waiting before started, so that not even an
exit at once, followed by `--rm`, is.
"""

from __future__ import annotations

from firkin.cli.attached import Attached, check_terminal
from firkin.cli.client import UPGRADE
from firkin.cli.command import Command
from firkin.cli.commands.create import create_container, prepare, with_help
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag
from firkin.cli.request.body import STREAMS, attached_streams
from firkin.cli.request.flags import CONTAINER_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.client import Client
    from firkin.cli.command import Context
    from firkin.cli.flags import Options
    from firkin.cli.http import Connection, Response

FLAGS = (
    *CONTAINER_FLAGS,
    Flag("detach", "d", "bool", "Run container in background and print container ID"),
    Flag("detach-keys", "", "string", "Override the key sequence for detaching a container"),
    Flag("plan", "", "bool", "Print each kernel step it would take, instead of taking it"),
    Flag("sig-proxy", "", "bool", "Proxy received signals to the process", default="true"),
)


START_FAILURES = {
    "executable file not found": 127,
    "no such file or directory": 127,
    "permission denied": 126,
    "is a directory": 126,
}


def run(context: Context, options: Options, arguments: list[str]) -> int:
    try:
        streams = attached_streams(options)
        body = prepare(context, options, arguments, streams)
        if options["plan"]:
            return plan(context.client, body)
        check_terminal(options["tty"], "stdin" in streams)
        container = create_container(context, options, body)
        return _detached(context.client, container) if options["detach"] else _attached(context, options, container, streams)
    except Failure as error:
        raise with_help(error, context.name) from None


def _detached(client: Client, container: str) -> int:
    start(client, container)
    print(container)
    return 0


def _attached(context: Context, options: Options, container: str, streams: frozenset[str]) -> int:
    client, path = context.client, "/containers/" + container
    keys = options["detach-keys"] or context.settings.detach_keys
    user = Attached(client, path, options["tty"], "stdin" in streams, options.get("sig-proxy", True), keys)
    stream = open_attach(client, path, streams, keys)
    waiting = open_wait(client, path, "removed" if options["rm"] else "next-exit")
    attached = client.check(stream.response("POST")).connection
    result = client.check(waiting.response("POST"))
    try:
        start(client, container)
    except Failure:
        if options["rm"]:
            result.read()  # it is gone when this returns: its name is free again
        raise
    return exit_code(result) if user.run(attached) else 0


def start(client: Client, container: str) -> None:
    """Start it; a failure's exit code says whether the program was not found (127), not executable (126) or else (125)."""
    try:
        client.post(f"/containers/{container}/start")
    except Failure as error:
        error.code = next((code for text, code in START_FAILURES.items() if text in error.message), 125)
        raise


def open_attach(client: Client, path: str, streams: frozenset[str], keys: str) -> Connection:
    """Send the request to attach; its answer is still to be read."""
    connection = client.dial()
    query = {"stream": True, **{name: name in streams for name in STREAMS}, "detachKeys": keys}
    client.send(connection, "POST", path + "/attach", query, headers=UPGRADE)
    return connection


def open_wait(client: Client, path: str, condition: str) -> Connection:
    """Send the request to wait; its headers are still to be read."""
    connection = client.dial()
    client.send(connection, "POST", path + "/wait", {"condition": condition})
    return connection


def exit_code(response: Response) -> int:
    """Read the rest of a wait's answer: the container's exit code."""
    from firkin.cli import jsontext

    result: dict[str, Any] = jsontext.loads(response.read().decode())
    if problem := (result.get("Error") or {}).get("Message"):
        raise Failure(f"Error waiting for container: {problem}", 125)
    return int(result["StatusCode"])


def plan(client: Client, body: dict[str, Any]) -> int:
    """Print what the daemon would have the kernel do, step by step, in words."""
    for number, step in enumerate(client.post("/firkin/plan", body)["Steps"], 1):
        print(f"{number:3}. {step}")
    return 0


COMMANDS = {"container run": Command(run, "[OPTIONS] IMAGE [COMMAND] [ARG...]", FLAGS, least=1, most=None, interspersed=False)}
