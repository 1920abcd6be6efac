"""Build the body of a create request (Docker Engine API, `ContainerCreate`) out of the options of `run` or `create`.

A flag whose row has a target is copied there; the others are the business of a part, a module with
`apply(body, options)` that is imported only when one of its flags was given.
"""

from __future__ import annotations

from firkin.cli.errors import Failure, FlagError
from firkin.cli.window import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options

PARTS = {
    "devices": (
        "blkio-weight-device",
        "device",
        "device-read-bps",
        "device-read-iops",
        "device-write-bps",
        "device-write-iops",
        "gpus",
    ),
    "environment": ("env", "env-file", "label", "label-file"),
    "endpoints": ("add-host", "ip", "ip6", "link-local-ip", "mac-address", "network", "network-alias"),
    "health": (
        "health-cmd",
        "health-interval",
        "health-retries",
        "health-start-interval",
        "health-start-period",
        "health-timeout",
        "no-healthcheck",
    ),
    "mounts": ("mount", "tmpfs", "volume"),
    "ports": ("expose", "publish"),
    "restart": ("restart",),
    "security": ("security-opt",),
    "users": ("userns",),
}

STREAMS = ("stdin", "stdout", "stderr")


def build(options: Options, image: str, command: list[str], attached: frozenset[str]) -> dict[str, Any]:
    """The request's JSON. `attached` names the streams of `STREAMS` that the caller will attach."""
    body: dict[str, Any] = {"Image": image, "HostConfig": {}}
    for name, stream in zip(STREAMS, ("AttachStdin", "AttachStdout", "AttachStderr"), strict=True):
        body[stream] = name in attached
    if options["interactive"]:
        body["OpenStdin"], body["StdinOnce"] = True, "stdin" in attached
    if command:
        body["Cmd"] = command
    if "entrypoint" in options:
        body["Entrypoint"] = [options["entrypoint"]]
    if options["tty"]:
        body["HostConfig"]["ConsoleSize"] = list(size())
    copy_targets(body, options)
    for module, names in PARTS.items():
        if any(name in options for name in names):
            __import__("firkin.cli.request." + module, fromlist=["apply"]).apply(body, options)
    return body


def copy_targets(body: dict[str, Any], options: Options) -> None:
    """Put every given flag that has a target in its place; repeated `KEY=VALUE` become an object."""
    for flag in options.flags:
        if flag.target and flag.name in options:
            value = options[flag.name]
            place, _, key = flag.target.rpartition(".")
            inner = body
            for step in place.split(".") if place else []:
                inner = inner.setdefault(step, {})
            inner[key] = dict(pairs(value)) if flag.kind == "map" else value


def pairs(values: list[str]) -> list[tuple[str, str]]:
    """`KEY=VALUE` taken apart; a bare KEY has an empty value."""
    return [(name, value) for name, _, value in (text.partition("=") for text in values)]


def attached_streams(options: Options) -> frozenset[str]:
    """Which streams to attach: those `--attach` names, else none with `--detach`, else all (stdin only with `-i`)."""
    named = [name.lower() for name in options["attach"]]
    if any(name not in STREAMS for name in named):
        raise FlagError(
            f'invalid argument "{options["attach"][-1]}" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR'
        )
    if options.get("detach"):
        if named:
            raise Failure("conflicting options: cannot specify both --attach and --detach")
        return frozenset()
    return frozenset(named or (STREAMS if options["interactive"] else STREAMS[1:]))
