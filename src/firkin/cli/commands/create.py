"""`firkin create`, and the first half of `run`: make a container, fetching its image when it is not there."""

from __future__ import annotations

import os
import sys

from firkin.cli.attached import NoTerminal
from firkin.cli.command import Command
from firkin.cli.errors import DaemonError, Failure, FlagError
from firkin.cli.request.body import attached_streams, build
from firkin.cli.request.flags import CONTAINER_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

PULL_POLICIES = ("always", "missing", "never")


def create(context: Context, options: Options, arguments: list[str]) -> int:
    try:
        body = prepare(context, options, arguments, attached_streams(options))
    except Failure as error:
        raise with_help(error, context.name) from None
    print(create_container(context, options, body))
    return 0


def prepare(context: Context, options: Options, arguments: list[str], attached: frozenset[str]) -> dict[str, Any]:
    """The body of the create request, and everything that can be refused without asking the daemon."""
    if options["pull"] and options["pull"] not in PULL_POLICIES:
        raise Failure(f'invalid pull option: \'{options["pull"]}\': must be one of "always", "missing" or "never"')
    if options["cidfile"] and os.path.exists(options["cidfile"]):
        raise Failure(f"container ID file found, make sure the other container isn't running or delete {options['cidfile']}")
    body = build(options, arguments[0], arguments[1:], attached)
    _add_proxies(context, body)
    return body


def create_container(context: Context, options: Options, body: dict[str, Any]) -> str:
    """Create the container and return its id; warnings are printed."""
    if options["pull"] == "always":
        _pull(context, options, body["Image"])
    try:
        created = _post(context, options, body)
    except DaemonError as error:
        if error.status != 404 or "o such image" not in error.reason or options["pull"] == "never":
            raise
        _announce_missing(options, body["Image"])
        _pull(context, options, body["Image"])
        created = _post(context, options, body)
    for warning in created.get("Warnings") or ():
        print("WARNING: " + warning, file=sys.stderr)
    container = str(created["Id"])
    if options["cidfile"]:
        with open(options["cidfile"], "x", encoding="ascii") as file:
            file.write(container)
    return container


def _announce_missing(options: Options, image: str) -> None:
    if not options["quiet"]:
        from firkin.cli.names import with_tag

        print(f"Unable to find image '{with_tag(image)}' locally", file=sys.stderr)


def _post(context: Context, options: Options, body: dict[str, Any]) -> dict[str, Any]:
    answer = context.client.post("/containers/create", body, name=options["name"], platform=platform(options))
    return dict(answer)


def platform(options: Options) -> str:
    return options["platform"] or os.environ.get("DOCKER_DEFAULT_PLATFORM", "")


def _pull(context: Context, options: Options, image: str) -> None:
    from firkin.cli.commands.pull import pull_image

    pull_image(context, image, platform(options), quiet=options["quiet"], out=sys.stderr)


def _add_proxies(context: Context, body: dict[str, Any]) -> None:
    """Proxy variables of the user's configuration, unless the command line sets them."""
    proxies = context.settings.proxy_environment(context.options["host"][0] if context.options["host"] else "")
    if proxies:
        given = {entry.partition("=")[0] for entry in body.get("Env", ())}
        body["Env"] = [f"{name}={value}" for name, value in proxies.items() if name not in given] + body.get("Env", [])


def with_help(error: Failure, command: str) -> Failure:
    """Docker's way of reporting that a container could not be made or started (125 unless the error says otherwise)."""
    if isinstance(error, FlagError | NoTerminal):
        return error
    code = 125 if error.code == 1 else error.code
    return Failure(f"firkin: {error.message}\n\nRun 'firkin {command} --help' for more information", code)


COMMANDS = {
    "container create": Command(
        create, "[OPTIONS] IMAGE [COMMAND] [ARG...]", CONTAINER_FLAGS, least=1, most=None, interspersed=False
    )
}
