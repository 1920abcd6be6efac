"""`firkin rootless setup`: what this machine lacks for an engine without root, and the commands that mend it."""

from __future__ import annotations

import os

from firkin import userdirs
from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.errors import Failure
from firkin.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options
    from firkin.rootless.checks import Finding

FLAGS = (Flag("json", "", "bool", "Print the findings as JSON"),)
_WORDS = {"ok": "ok", "missing": "MISSING", "warning": "warning"}


def setup(context: Context, options: Options, arguments: list[str]) -> int:
    """0 if an engine can run, 1 if something that it cannot do without is missing."""
    if os.geteuid() == 0:
        raise Failure("rootless setup is for an ordinary user: run it as the one whose engine it is to be, without sudo")
    from firkin.rootless import checks, facts

    findings = checks.examine(facts.gather(os.environ))
    ready = checks.is_ready(findings)
    if options["json"]:
        rows = [{"Name": one.name, "Status": one.status, "Message": one.message, "Mend": one.mend} for one in findings]
        print(jsontext.dumps({"Ready": ready, "Findings": rows}))
    else:
        _show(findings, ready)
    return 0 if ready else 1


def _show(findings: list[Finding], ready: bool) -> None:
    for one in findings:
        print(f"{_WORDS[one.status]:8} {one.name}: {one.message}")
        if one.mend:
            print(f"         {one.mend}")
    print()
    if ready:
        host = userdirs.host(os.environ, os.geteuid())
        print(f"Ready: `firkin run` starts the engine. Other clients: export DOCKER_HOST={host}")
    else:
        print("Not ready: what is MISSING is needed; the command below each mends it.")


COMMANDS = {"rootless setup": Command(setup, "[OPTIONS]", FLAGS)}
