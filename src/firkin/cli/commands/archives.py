"""Tar archives in and out: export, import, save, load."""

from __future__ import annotations

import os
import sys

from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from firkin.cli.command import Context
    from firkin.cli.flags import Options
    from firkin.cli.http import Response

PIECE = 1 << 20
CHANGE = Flag("change", "c", "list", "Apply Dockerfile instruction to the created image")
OUTPUT = Flag("output", "o", "string", "Write to a file, instead of STDOUT")
_VARIANT = 'only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'


def export(context: Context, options: Options, arguments: list[str]) -> int:
    _check_output(options["output"])
    return _write(context.client.open("GET", f"/containers/{arguments[0]}/export", {}), options["output"])


def save(context: Context, options: Options, arguments: list[str]) -> int:
    _check_output(options["output"])
    query = {"names": arguments, "platform": options["platform"]}
    return _write(context.client.open("GET", "/images/get", query), options["output"])


def load(context: Context, options: Options, arguments: list[str]) -> int:
    from firkin.cli.progress import follow

    if not options["input"] and os.isatty(0):
        raise Failure("requested load from stdin, but stdin is empty")
    query = {"quiet": options["quiet"], "platform": options["platform"]}
    with _open(options["input"]) as source:
        tar = {"Content-Type": "application/x-tar"}
        response = context.client.open("POST", "/images/load", query, producer(source), tar)
        follow(context.client.documents(response), sys.stdout)
    return 0


def import_image(context: Context, options: Options, arguments: list[str]) -> int:
    from firkin.cli.progress import follow

    source, reference = arguments[0], arguments[1] if len(arguments) > 1 else ""
    query = {
        "fromSrc": source if "://" in source else "-",
        "repo": reference,
        "message": options["message"],
        "changes": options["change"],
        "platform": options["platform"],
    }
    if "://" in source:
        response = context.client.open("POST", "/images/create", query)
    else:
        with _open("" if source == "-" else source) as file:
            response = context.client.open("POST", "/images/create", query, producer(file))
    follow(context.client.documents(response), sys.stdout)
    return 0


def producer(source: BinaryIO) -> Callable[[Callable[[bytes], None]], None]:
    """A request body that is read from a file as it is sent."""

    def produce(write: Callable[[bytes], None]) -> None:
        while piece := source.read(PIECE):
            write(piece)

    return produce


def _open(path: str) -> BinaryIO:
    try:
        return open(path or 0, "rb", closefd=bool(path))
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}") from None


def _check_output(path: str) -> None:
    if not path and os.isatty(1):
        raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    if path and not os.path.isdir(os.path.dirname(path) or "."):
        raise Failure(f'invalid output path: directory "{os.path.dirname(path)}" does not exist')


def _write(response: Response, path: str) -> int:
    """Copy the answer to standard output, or to a file that appears under its name only when it is complete."""
    if not path:
        for piece in response.pieces():
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "xb") as file:
            for piece in response.pieces():
                file.write(piece)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return 0


COMMANDS = {
    "container export": Command(export, "[OPTIONS] CONTAINER", (OUTPUT,), least=1, most=1),
    "image save": Command(
        save, "[OPTIONS] IMAGE [IMAGE...]", (OUTPUT, Flag("platform", "", "string", "Save " + _VARIANT)), least=1, most=None
    ),
    "image load": Command(
        load,
        "[OPTIONS]",
        (
            Flag("input", "i", "string", "Read from tar archive file, instead of STDIN"),
            Flag("platform", "", "string", "Load " + _VARIANT),
            Flag("quiet", "q", "bool", "Suppress the load output"),
        ),
    ),
    "image import": Command(
        import_image,
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        (
            CHANGE,
            Flag("message", "m", "string", "Set commit message for imported image"),
            Flag("platform", "", "string", "Set platform if server is multi-platform capable"),
        ),
        least=1,
        most=2,
    ),
}
