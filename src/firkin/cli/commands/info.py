"""`firkin info`."""

from __future__ import annotations

import sys

from firkin import __version__
from firkin.cli import jsontext
from firkin.cli.command import Command
from firkin.cli.commands.common import INSPECT_FORMAT
from firkin.cli.format import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from firkin.cli.command import Context
    from firkin.cli.flags import Options


def info(context: Context, options: Options, arguments: list[str]) -> int:
    client = {"Debug": context.options["debug"], "Version": __version__, "Context": "default"}
    form = options["format"]
    found: dict[str, Any] = context.client.get("/info")
    if form == "json":
        print(jsontext.dumps({**found, "ClientInfo": client}))
    elif form:
        from firkin.cli.format.evaluate import render
        from firkin.cli.format.template import Template

        print(render(Template(form), {**found, "ClientInfo": client}))
    else:
        print(f"Client:\n Version:    {__version__}\n Context:    default\n Debug Mode: {_word(client['Debug'])}\n\nServer:")
        print("\n".join(lines(found)) + "\n")
        sys.stdout.flush()
        for warning in found.get("Warnings") or ():
            print(warning, file=sys.stderr)
    return 0


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The daemon's half, one setting a line, in docker's order."""
    yield f" Containers: {found['Containers']}"
    yield from (f"  {state}: {found['Containers' + state]}" for state in ("Running", "Paused", "Stopped"))
    yield f" Images: {found['Images']}"
    yield from _given(found, ("Server Version", "ServerVersion"), ("Storage Driver", "Driver"))
    yield from (f"  {name}: {value}" for name, value in found.get("DriverStatus") or ())
    yield from _given(found, ("Logging Driver", "LoggingDriver"), ("Cgroup Driver", "CgroupDriver"))
    yield from _given(found, ("Cgroup Version", "CgroupVersion"))
    yield " Plugins:"
    yield from (f"  {kind}: {' '.join((found.get('Plugins') or {}).get(kind) or ())}" for kind in ("Volume", "Network", "Log"))
    yield f" Swarm: {(found.get('Swarm') or {}).get('LocalNodeState') or 'inactive'}"
    yield from _runtimes(found)
    yield from _security(found)
    yield from _given(found, ("Kernel Version", "KernelVersion"), ("Operating System", "OperatingSystem"))
    yield from _given(found, ("OSType", "OSType"), ("Architecture", "Architecture"))
    yield f" CPUs: {found['NCPU']}"
    yield f" Total Memory: {units.binary_size(found['MemTotal'])}"
    yield from _given(found, ("Name", "Name"), ("ID", "ID"))
    yield f" Docker Root Dir: {found['DockerRootDir']}"
    yield f" Debug Mode: {_word(found['Debug'])}"
    yield from _given(found, ("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy"))
    yield from _list(" Labels:", found.get("Labels"))
    yield f" Experimental: {_word(found.get('ExperimentalBuild'))}"
    yield from _registries(found.get("RegistryConfig") or {})
    yield f" Live Restore Enabled: {_word(found.get('LiveRestoreEnabled'))}"


def _runtimes(found: dict[str, Any]) -> Iterator[str]:
    if found.get("Runtimes"):
        yield f" Runtimes: {' '.join(found['Runtimes'])}"
        yield f" Default Runtime: {found.get('DefaultRuntime', '')}"
    yield from _given(found, ("Init Binary", "InitBinary"))
    for name, key in (("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")):
        if version := (found.get(key) or {}).get("ID"):
            yield f" {name} version: {version}"


def _security(found: dict[str, Any]) -> Iterator[str]:
    """`name=seccomp,profile=default` on two lines."""
    if found.get("SecurityOptions"):
        yield " Security Options:"
    for option in found.get("SecurityOptions") or ():
        settings = dict(part.partition("=")[::2] for part in option.split(","))
        yield f"  {settings.get('name', option)}"
        if "profile" in settings:
            yield f"   Profile: {settings['profile']}"


def _registries(found: dict[str, Any]) -> Iterator[str]:
    insecure = [each["Name"] for each in (found.get("IndexConfigs") or {}).values() if not each["Secure"]]
    yield from _list(" Insecure Registries:", insecure + (found.get("InsecureRegistryCIDRs") or []))
    yield from _list(" Registry Mirrors:", found.get("Mirrors"))


def _given(found: dict[str, Any], *rows: tuple[str, str]) -> Iterator[str]:
    """A line for each setting that is not empty."""
    return (f" {title}: {found[key]}" for title, key in rows if found.get(key))


def _list(title: str, values: list[str] | None) -> Iterator[str]:
    if values:
        yield title
        yield from (f"  {value}" for value in values)


def _word(value: object) -> str:
    return "true" if value else "false"


COMMANDS = {"system info": Command(info, "[OPTIONS]", (INSPECT_FORMAT,))}
