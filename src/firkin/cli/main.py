"""From the command line to an exit code: global flags, which command, its flags, run it, report what went wrong.

Exit codes are docker's: 125 for a bad flag, 1 for other errors of the client, the container's own where one ran.
The process ends with `os._exit`: tearing the interpreter down would cost every command a millisecond.
"""

from __future__ import annotations

import os
import sys

from firkin import __version__
from firkin.cli import catalog
from firkin.cli.command import Context, load
from firkin.cli.errors import ArgumentError, Failure, FlagError
from firkin.cli.flags import Options, parse
from firkin.cli.global_flags import GLOBAL_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Command


def main(argv: list[str]) -> None:
    """Run the command line and end the process."""
    try:
        code = run(argv)
        sys.stdout.flush()
    except Failure as failure:
        sys.stdout.flush()
        print(failure.message, file=sys.stderr)
        code = failure.code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = 141
    except OSError as error:
        print(f"firkin: {error.filename or 'error'}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        code = 1
    sys.stderr.flush()
    os._exit(code)


def run(argv: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        options, words = parse(GLOBAL_FLAGS, argv, interspersed=False)
    except FlagError as error:
        raise _explained(error, "", "firkin [OPTIONS] COMMAND [ARG...]") from None
    if options["version"]:
        print(f"Firkin version {__version__}")
        return 0
    if options["help"] or not words:
        from firkin.cli import usage

        print(usage.group(" ".join(words[:1])) if words and words[0] in catalog.GROUPS else usage.overview(), end="")
        return 0
    name, rest = _command_name(words)
    entry = catalog.find(name)
    if entry is None:
        return _no_such_command(name, rest)
    return _invoke(load(entry), entry, Context(name, options), rest)


def _command_name(words: list[str]) -> tuple[str, list[str]]:
    if words[0] in catalog.GROUPS and len(words) > 1:
        return " ".join(words[:2]), words[2:]
    return words[0], words[1:]


def _invoke(command: Command, entry: catalog.Entry, context: Context, words: list[str]) -> int:
    name = context.name
    if command.passes_flags:
        return command.run(context, Options(()), words)
    line = f"firkin {name} {command.usage}".rstrip()
    try:
        options, arguments = parse(command.flags, words, command.interspersed)
    except FlagError as error:
        raise _explained(error, name, line) from None
    if options["help"]:
        from firkin.cli import usage

        print(usage.command(command, entry, name), end="")
        return 0
    try:
        command.check_count(len(arguments), name)
    except ArgumentError as error:
        verb = "Run" if command.least == command.most else "See"
        message = f"firkin: {error.message}\n\nUsage:  {line}\n\n{verb} 'firkin {name} --help' for more information"
        raise ArgumentError(message) from None
    try:
        return command.run(context, options, arguments)
    except FlagError as error:
        raise _explained(error, name, line) from None


def _explained(error: Failure, name: str, line: str) -> Failure:
    call = f"firkin {name}".rstrip()
    return Failure(f"{error.message}\n\nUsage:  {line}\n\nRun '{call} --help' for more information", error.code)


def _no_such_command(name: str, rest: list[str]) -> int:
    from firkin.cli import usage

    if name in catalog.GROUPS:
        print(usage.group(name), end="")
        return 0
    group = name.split(" ")[0] if " " in name else ""
    if group and name.endswith((" --help", " -h")):
        print(usage.group(group), end="")
        return 0
    raise Failure(usage.unknown(name, group))
