"""`firkin daemon`: hand over to the engine in this very process. Its options are its own (`firkin daemon --help`)."""

from __future__ import annotations

import os
import sys

from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.libraries import add_site_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def daemon(context: Context, options: Options, arguments: list[str]) -> int:
    if os.geteuid() != 0:
        raise Failure("the daemon needs root: sudo firkin daemon")
    add_site_packages()
    from firkin.daemon import main

    hosts = [word for host in context.options["host"] for word in ("--host", host)]
    debug = ["--debug"] if context.options["debug"] else []
    sys.stdout.flush()
    return int(main([*hosts, *debug, *arguments]) or 0)


COMMANDS = {"daemon": Command(daemon, "[OPTIONS]", most=None, interspersed=False, passes_flags=True)}
