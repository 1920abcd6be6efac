"""`firkin pull`, and what `run` does about a missing image."""

from __future__ import annotations

import sys

from firkin.cli import names
from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("all-tags", "a", "bool", "Download all tagged images in the repository"),
    Flag("disable-content-trust", "", "bool", "Skip image verification", default="true"),
    Flag("platform", "", "string", "Set platform if server is multi-platform capable"),
    Flag("quiet", "q", "bool", "Suppress verbose output"),
)


def pull(context: Context, options: Options, arguments: list[str]) -> int:
    reference = arguments[0]
    registry, path, tag, digest = names.split(reference)
    if options["all-tags"] and (tag or digest):
        raise Failure("tag can't be used with --all-tags/-a")
    if not (options["all-tags"] or tag or digest or options["quiet"]):
        print("Using default tag: latest")
    pull_image(context, reference, options["platform"], options["quiet"], sys.stdout, options["all-tags"])
    if not options["all-tags"]:
        print(f"{registry}/{path}@{digest}" if digest else f"{registry}/{path}:{tag or 'latest'}")
    return 0


def pull_image(context: Context, reference: str, platform: str, quiet: bool, out: TextIO, all_tags: bool = False) -> None:
    """Have the daemon fetch an image, with the user's credentials, showing its progress. Raises `Failure`."""
    from firkin.cli.credentials import registry_header
    from firkin.cli.progress import follow

    registry, path, tag, digest = names.split(reference)
    image = names.familiar(registry, path)
    query = {"fromImage": image, "tag": digest or tag or ("" if all_tags else "latest"), "platform": platform}
    response = context.client.open("POST", "/images/create", query, None, registry_header(context.settings, reference))
    follow(context.client.documents(response), None if quiet else out)


COMMANDS = {"image pull": Command(pull, "[OPTIONS] NAME[:TAG|@DIGEST]", FLAGS, least=1, most=1)}
