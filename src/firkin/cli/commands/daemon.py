"""`firkin daemon`: hand over to the engine in this very process. Its options are its own (`firkin daemon --help`)."""

from __future__ import annotations

import sys

from firkin.cli.autostart import interpreter
from firkin.cli.command import Command
from firkin.cli.libraries import add_site_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def daemon(context: Context, options: Options, arguments: list[str]) -> int:
    add_site_packages()
    from firkin.daemon import main

    hosts = [word for host in context.options["host"] for word in ("--host", host)]
    debug = ["--debug"] if context.options["debug"] else []
    sys.stdout.flush()
    words = [*hosts, *debug, *arguments]
    return int(main(words, [*interpreter(), "daemon", *words]) or 0)


COMMANDS = {"daemon": Command(daemon, "[OPTIONS]", most=None, interspersed=False, passes_flags=True)}
