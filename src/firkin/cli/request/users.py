"""`--userns keep-id`: the ids that are kept are of whoever gives the command, and only this side knows whose they are."""

from __future__ import annotations

import os

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options


def apply(body: dict[str, Any], options: Options) -> None:
    if options["userns"] != "keep-id":
        return
    if os.getuid() == 0:
        raise Failure("--userns keep-id: root's id is not for keeping; say whose: --userns keep-id:UID:GID")
    body["HostConfig"]["UsernsMode"] = f"keep-id:{os.getuid()}:{os.getgid()}"
