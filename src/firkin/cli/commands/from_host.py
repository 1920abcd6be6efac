"""`firkin image from-host`: make an image of programs of this machine, with the libraries they need."""

from __future__ import annotations

import os
import sys

from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag
from firkin.cli.progress import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("quiet", "q", "bool", "Suppress the progress output"),
    Flag("tag", "t", "string", 'Name and optionally a tag for the image (format: "name:tag")'),
)


def from_host(context: Context, options: Options, arguments: list[str]) -> int:
    if not options["tag"]:
        raise Failure("give the image a name: --tag NAME")
    body = {"Programs": [_program(name) for name in arguments], "Tag": options["tag"]}
    response = context.client.open("POST", "/firkin/images/from-host", {}, body)
    follow(context.client.documents(response), None if options["quiet"] else sys.stdout, _print_id)
    return 0


def _print_id(value: dict[str, str]) -> None:
    print(value["ID"])


def _program(name: str) -> str:
    """The absolute path of a program, looked up as a shell would."""
    from shutil import which

    found = which(name)
    if not found:
        raise Failure(f"no program {name} on this machine")
    return os.path.abspath(found)


COMMANDS = {"image from-host": Command(from_host, "[OPTIONS] PROGRAM...", FLAGS, least=1, most=None)}
