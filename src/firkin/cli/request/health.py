"""`--health-*` and `--no-healthcheck`: the `Healthcheck` of the request (durations in nanoseconds)."""

from __future__ import annotations

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options

_KEYS = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
    "health-retries": "Retries",
}


def apply(body: dict[str, Any], options: Options) -> None:
    given = [name for name in _KEYS if name in options]
    if options["no-healthcheck"]:
        if given or options["health-cmd"]:
            raise Failure("--no-healthcheck conflicts with --health-* options")
        body["Healthcheck"] = {"Test": ["NONE"]}
        return
    for name in given:
        if options[name] < 0:
            raise Failure(f"--{name} cannot be negative")
    check = {_KEYS[name]: options[name] for name in given}
    if options["health-cmd"]:
        check["Test"] = ["CMD-SHELL", options["health-cmd"]]
    if check:
        body["Healthcheck"] = check
