"""`firkin push`."""

from __future__ import annotations

import sys

from firkin.cli import credentials, names
from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag
from firkin.cli.progress import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("all-tags", "a", "bool", "Push all tags of an image to the repository"),
    Flag("disable-content-trust", "", "bool", "Skip image signing", default="true"),
    Flag("platform", "", "string", "Push a platform-specific manifest as a single-platform image to the registry"),
    Flag("quiet", "q", "bool", "Suppress verbose output"),
)


def push(context: Context, options: Options, arguments: list[str]) -> int:
    registry, path, tag, digest = names.split(arguments[0])
    if digest or (tag and options["all-tags"]):
        raise Failure("cannot push a digest reference" if digest else "tag can't be used with --all-tags/-a")
    if not (tag or options["all-tags"]):
        tag = "latest"
        if not options["quiet"]:
            print("Using default tag: latest")
    name = names.familiar(registry, path)
    header = credentials.registry_header(context.settings, arguments[0]) or {"X-Registry-Auth": credentials.encode({})}
    query = {"tag": tag, "platform": _platform(options["platform"])}
    response = context.client.open("POST", f"/images/{name}/push", query, None, header)
    if options["quiet"]:
        follow(context.client.documents(response), None)
        print(f"{registry}/{path}" + (f":{tag}" if tag else ""))
        return 0
    print(f"The push refers to repository [{registry}/{path}]", flush=True)
    follow(context.client.documents(response), sys.stdout)
    return 0


def _platform(text: str) -> dict[str, str]:
    """`linux/arm64/v8` as the API's `Platform`."""
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False)) if text else {}


COMMANDS = {"image push": Command(push, "[OPTIONS] NAME[:TAG]", FLAGS, least=1, most=1)}
