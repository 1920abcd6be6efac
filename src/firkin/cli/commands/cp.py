"""`firkin cp`: tar archives between a container's file system and this one (Docker Engine API, "Archive")."""

from __future__ import annotations

import binascii
import os
import sys

from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.commands.archives import producer
from firkin.cli.copying import Place, local_place, pack, plan, unpack
from firkin.cli.errors import DaemonError, Failure
from firkin.cli.flags import Flag
from firkin.cli.format import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.client import Client
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

FLAGS = (
    Flag("archive", "a", "bool", "Archive mode (copy all uid/gid information)"),
    Flag("follow-link", "L", "bool", "Always follow symbol link in SRC_PATH"),
    Flag(
        "quiet",
        "q",
        "bool",
        "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
    ),
)
DIRECTORY, SYMLINK = 1 << 31, 1 << 27  # bits of Go's FileMode, which the API uses


def copy(context: Context, options: Options, arguments: list[str]) -> int:
    (source_container, source), (target_container, target) = map(_split, arguments)
    if source_container and target_container:
        raise Failure("copying between containers is not supported")
    if not (source_container or target_container):
        raise Failure("must specify at least one container source")
    quiet = options["quiet"] or not os.isatty(1)
    if source_container:
        count = _from_container(context.client, source_container, source, target, options["follow-link"])
        shown = os.path.abspath(target)
        quiet = quiet or target == "-"
    else:
        count = _to_container(context.client, target_container, source, target, options)
        shown = f"{target_container}:{target}"
    if not quiet:
        print(f"Successfully copied {units.size(count, 3)} to {shown}", file=sys.stderr)
    return 0


def _split(argument: str) -> tuple[str, str]:
    """(container, path); a local path that holds a colon is written with a leading `/` or `.`."""
    container, colon, path = argument.partition(":")
    return (container, path) if colon and not argument.startswith(("/", ".")) else ("", argument)


def _from_container(client: Client, container: str, source: str, target: str, follow: bool) -> int:
    called = ""
    if follow and (link := _linked(source, _stat(client, container, source))):
        source, called = link, os.path.basename(source)
    response = client.open("GET", f"/containers/{container}/archive", {"path": source})
    if target == "-":
        for piece in response.pieces():
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    mode = _decode(response.headers.get("x-docker-container-path-stat", ""))["mode"]
    directory, renamed = plan(Place(source, True, bool(mode & DIRECTORY), called), local_place(target))
    return unpack(response.pieces(), directory, renamed)


def _to_container(client: Client, container: str, source: str, target: str, options: Options) -> int:
    place = _container_place(client, container, target)
    query: dict[str, Any] = {"noOverwriteDirNonDir": True, "copyUIDGID": options["archive"]}
    count = 0
    if source == "-":
        if not place.is_directory:
            raise Failure(f'destination "{container}:{target}" must be a directory')
        directory, body = place.path, producer(sys.stdin.buffer)
    else:
        local = local_place(source, options["follow-link"])
        if not local.exists:
            raise Failure(f"lstat {os.path.abspath(source)}: no such file or directory")
        directory, renamed = plan(local, place)

        def body(write: Any) -> None:
            nonlocal count
            count = pack(local, renamed, write)

    query["path"] = directory
    client.open("PUT", f"/containers/{container}/archive", query, body, {"Content-Type": "application/x-tar"}).read()
    return count


def _container_place(client: Client, container: str, path: str) -> Place:
    stat = _stat(client, container, path)
    if link := _linked(path, stat):
        path, stat = link, _stat(client, container, link)
    return Place(path, bool(stat), bool(stat.get("mode", 0) & DIRECTORY))


def _linked(path: str, stat: dict[str, Any]) -> str:
    """Where a symbolic link points, "" for anything else."""
    if not stat.get("mode", 0) & SYMLINK:
        return ""
    return os.path.join(os.path.dirname(path.rstrip("/")), stat["linkTarget"])


def _stat(client: Client, container: str, path: str) -> dict[str, Any]:
    """The API's `PathStat`, empty when there is no such path (a missing container is an error)."""
    try:
        response = client.exchange("HEAD", f"/containers/{container}/archive", {"path": path})
    except DaemonError as error:
        if error.status != 404:
            raise
        client.get(f"/containers/{container}/json")  # says so when it is the container that is missing
        return {}
    return _decode(response.headers.get("x-docker-container-path-stat", ""))


def _decode(header: str) -> dict[str, Any]:
    """The API's `PathStat`."""
    try:
        found = jsontext.loads(binascii.a2b_base64(header).decode())
        return {"mode": int(found["mode"]), "linkTarget": str(found["linkTarget"])}
    except (ValueError, TypeError, LookupError, OverflowError):
        raise Failure(f"error during connect: malformed path stat: {header[:200]!r}") from None


COMMANDS = {
    "container cp": Command(
        copy,
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        FLAGS,
        least=2,
        most=2,
        text="""Copy files/folders between a container and the local filesystem

Use '-' as the source to read a tar archive from stdin
and extract it to a directory destination in a container.
Use '-' as the destination to stream a tar archive of a
container source to stdout.""",
    )
}
