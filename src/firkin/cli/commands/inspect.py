"""`firkin inspect` and its four siblings: the daemon's JSON as it sent it, laid out, or through a template."""

from __future__ import annotations

import sys

from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.commands.common import INSPECT_FORMAT
from firkin.cli.errors import DaemonError, Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.client import Client
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

PATHS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
SIZE = Flag("size", "s", "bool", "Display total file sizes if the type is container")
ISOLATION = (
    Flag("isolation", "", "bool", "Show what separates a running container from the host, read back from the kernel"),
    Flag("json", "", "bool", "With --isolation: as JSON"),
)
FLAGS = (INSPECT_FORMAT, SIZE, *ISOLATION, Flag("type", "", "string", "Only inspect objects of the given type"))


def inspect(context: Context, options: Options, names: list[str]) -> int:
    kind = options["type"]
    if options["isolation"]:
        if kind not in ("", "container"):
            raise Failure("--isolation is about containers")
        return _show_isolation(context.client, options, names)
    if kind and kind not in PATHS:
        raise Failure(f'unknown type: "{kind}": must be one of "' + '", "'.join(PATHS) + '"')
    return _show(context, options, names, (kind,) if kind else tuple(PATHS), "" if kind else "No such object")


def inspect_container(context: Context, options: Options, names: list[str]) -> int:
    if options["isolation"]:
        return _show_isolation(context.client, options, names)
    return _show(context, options, names, ("container",), "")


def inspect_image(context: Context, options: Options, names: list[str]) -> int:
    return _show(context, options, names, ("image",), "")


def inspect_network(context: Context, options: Options, names: list[str]) -> int:
    return _show(context, options, names, ("network",), "")


def inspect_volume(context: Context, options: Options, names: list[str]) -> int:
    return _show(context, options, names, ("volume",), "")


def _show(context: Context, options: Options, names: list[str], kinds: tuple[str, ...], missing: str) -> int:
    """Print what was found, then raise what was not. `missing` replaces the daemon's words when given."""
    found, problems, form = [], [], options["format"]
    for name in names:
        try:
            found.append(_find(context.client, name, kinds, options, missing))
        except Failure as error:
            problems.append(error.message)
    if form and form != "json":
        problems += _fill(form, found)
    else:
        text = "[" + ",".join(found) + "]"
        print(jsontext.dumps(jsontext.loads(text)) if form else jsontext.indent(text))
    if problems:
        sys.stdout.flush()
        raise Failure("\n".join(problems))
    return 0


def _show_isolation(client: Client, options: Options, names: list[str]) -> int:
    """What the kernel says of each container: for people, or with `--json` as the daemon sent it."""
    from firkin.cli.format.isolation import page

    for name in names:
        text = client.text("GET", f"/firkin/containers/{name}/isolation", {}).strip()
        print(jsontext.indent(text) if options["json"] else "\n".join(page(jsontext.loads(text))))
    return 0


def _find(client: Client, name: str, kinds: tuple[str, ...], options: Options, missing: str) -> str:
    """The JSON of the first kind of object that goes by `name`."""
    for kind in kinds:
        query: dict[str, Any] = {}
        if kind == "container":
            query["size"] = options.get("size", False)
        elif kind == "network":
            query["verbose"] = options.get("verbose", False)
        elif kind == "image":
            query["platform"] = options.get("platform", "")
        try:
            return client.text("GET", PATHS[kind].replace("{}", name), query).strip()
        except DaemonError as error:
            if not missing or error.status != 404:
                raise
    raise Failure(f"Error: {missing}: {name}")


def _fill(form: str, found: list[str]) -> list[str]:
    """Print each object through the template; returns what went wrong."""
    from firkin.cli.format.evaluate import render
    from firkin.cli.format.template import Template

    template = Template(form)
    lines, problems = [], []
    for text in found:
        try:
            lines.append(render(template, jsontext.loads(text)) + "\n")
        except Failure as error:
            problems.append(error.message)
    sys.stdout.write("".join(lines) or "\n")
    return problems


CONTAINER_FLAGS = (INSPECT_FORMAT, Flag("size", "s", "bool", "Display total file sizes"), *ISOLATION)
IMAGE_FLAGS = (INSPECT_FORMAT, Flag("platform", "", "string", "Inspect a specific platform of the multi-platform image"))
NETWORK_FLAGS = (INSPECT_FORMAT, Flag("verbose", "v", "bool", "Verbose output for diagnostics"))

COMMANDS = {
    "inspect": Command(inspect, "[OPTIONS] NAME|ID [NAME|ID...]", FLAGS, least=1, most=None),
    "container inspect": Command(inspect_container, "[OPTIONS] CONTAINER [CONTAINER...]", CONTAINER_FLAGS, least=1, most=None),
    "image inspect": Command(inspect_image, "[OPTIONS] IMAGE [IMAGE...]", IMAGE_FLAGS, least=1, most=None),
    "network inspect": Command(inspect_network, "[OPTIONS] NETWORK [NETWORK...]", NETWORK_FLAGS, least=1, most=None),
    "volume inspect": Command(inspect_volume, "[OPTIONS] VOLUME [VOLUME...]", (INSPECT_FORMAT,), least=1, most=None),
}
