"""`--restart POLICY[:RETRIES]`."""

from __future__ import annotations

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options


def apply(body: dict[str, Any], options: Options) -> None:
    body["HostConfig"]["RestartPolicy"] = policy(options["restart"])
    if options["rm"] and options["restart"] not in ("", "no"):
        raise Failure("conflicting options: cannot specify both --restart and --rm")


def policy(text: str) -> dict[str, Any]:
    """`on-failure:3` as the API's `RestartPolicy`."""
    name, given, count = text.partition(":")
    if given and not count.isdecimal():
        raise Failure("invalid restart policy format: maximum retry count must be an integer")
    if given and not name:
        raise Failure("invalid restart policy format: no policy provided before colon")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}
