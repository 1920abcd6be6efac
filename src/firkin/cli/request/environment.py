"""`--env`, `--env-file`, `--label`, `--label-file`: files first, so that the command line wins."""

from __future__ import annotations

import os

from firkin.cli.errors import Failure, FlagError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from firkin.cli.flags import Options


def apply(body: dict[str, Any], options: Options) -> None:
    if environment := variables(options):
        body["Env"] = environment
    labels = [line for file in options["label-file"] for line in _file_lines(file)] + options["label"]
    if labels:
        body["Labels"] = {name: value for name, _, value in (label.partition("=") for label in labels)}


def variables(options: Options) -> list[str]:
    """`KEY=VALUE` entries. A bare KEY takes the client's own value; without one it is left out of a file, and sent
    bare (which removes the image's variable) from the command line."""
    from_files = [_filled(line) for file in options["env-file"] for line in _file_lines(file)]
    return [entry for entry in from_files if "=" in entry] + [_filled(entry) for entry in options["env"]]


def _filled(entry: str) -> str:
    if entry.startswith("="):
        raise FlagError(f'invalid argument "{entry}" for "-e, --env" flag: invalid environment variable: {entry}')
    return entry if "=" in entry or entry not in os.environ else f"{entry}={os.environ[entry]}"


def _file_lines(path: str) -> Iterator[str]:
    """The entries of a file: one a line, comments and blank lines left out, leading white space dropped."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.rstrip("\r\n").lstrip() for line in file]
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}") from None
    for line in lines:
        if line and not line.startswith("#"):
            name = line.partition("=")[0]
            if not name or any(c.isspace() for c in name):
                problem = f"variable '{name}' contains whitespaces" if name else f"no variable name on line '{line}'"
                raise Failure(f"invalid environment file ({path}): {problem}")
            yield line
