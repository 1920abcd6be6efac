"""`firkin version`."""

from __future__ import annotations

import os
import sys

from firkin import __version__
from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.commands.common import INSPECT_FORMAT
from firkin.cli.errors import Failure
from firkin.cli.format import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # Go's names, which the API uses
_ENGINE = (
    ("API version", "ApiVersion"),
    ("Go version", "GoVersion"),
    ("Git commit", "GitCommit"),
    ("Built", "BuildTime"),
    ("OS/Arch", "Os"),
    ("Experimental", "Experimental"),
)


def version(context: Context, options: Options, arguments: list[str]) -> int:
    details: dict[str, Any] = {"Client": _client(), "Server": None}
    problem = None
    try:
        details["Server"] = context.client.get("/version")
        details["Client"]["ApiVersion"] = context.client.api_version
    except Failure as error:
        problem = error
    form = options["format"]
    if form == "json":
        print(jsontext.dumps(details))
    elif form:
        from firkin.cli.format.evaluate import render
        from firkin.cli.format.template import Template

        print(render(Template(form), details))
    else:
        _print(details)
    if problem:
        sys.stdout.flush()
        raise problem
    return 0


def _client() -> dict[str, Any]:
    machine = os.uname().machine
    return {
        "Version": __version__,
        "ApiVersion": "",
        "PythonVersion": sys.version.split()[0],
        "Os": "linux",
        "Arch": ARCHITECTURES.get(machine, machine),
    }


def _print(details: dict[str, Any]) -> None:
    """Two sections, values in a column."""
    client, server = details["Client"], details["Server"]
    rows = [
        [" Version:", client["Version"]],
        [" API version:", client["ApiVersion"]],
        [" Python version:", client["PythonVersion"]],
        [" OS/Arch:", f"{client['Os']}/{client['Arch']}"],
    ]
    print("Client:\n" + table.layout(rows, least=20, padding=1), end="")
    if not server:
        return
    print(f"\nServer: {(server.get('Platform') or {}).get('Name', '')}".rstrip())
    for component in server.get("Components") or [{"Name": "Engine", "Version": server["Version"], "Details": server}]:
        found = component.get("Details") or {}
        rows = [["  Version:", component["Version"]]]
        if component["Name"] == "Engine":
            rows += [[f"  {title}:", _value(found, key)] for title, key in _ENGINE if found.get(key)]
        else:
            rows += [[f"  {key}:", str(found[key])] for key in sorted(found) if found[key]]
        print(f" {component['Name']}:\n" + table.layout(rows, least=20, padding=1), end="")


def _value(details: dict[str, Any], key: str) -> str:
    if key == "ApiVersion":
        return f"{details[key]} (minimum version {details.get('MinAPIVersion', '')})"
    return f"{details['Os']}/{details['Arch']}" if key == "Os" else str(details[key])


COMMANDS = {"version": Command(version, "[OPTIONS]", (INSPECT_FORMAT,))}
