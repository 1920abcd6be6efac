"""`--security-opt`: a seccomp profile is read here and sent as text, `systempaths` becomes two lists of paths."""

from __future__ import annotations

from firkin.cli import jsontext
from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.cli.flags import Options


def apply(body: dict[str, Any], options: Options) -> None:
    sent = []
    for option in options["security-opt"]:
        name, given, value = option.partition("=")
        if not given and ":" in option:
            name, given, value = option.partition(":")  # the old spelling
        if not given and option != "no-new-privileges":
            raise Failure(f"invalid --security-opt: {option!r}")
        if (name, value) == ("systempaths", "unconfined"):
            body["HostConfig"].update(MaskedPaths=[], ReadonlyPaths=[])
        elif name == "seccomp" and value not in ("unconfined", "builtin"):
            sent.append("seccomp=" + _profile(value))
        else:
            sent.append(f"{name}={value}" if given else name)
    body["HostConfig"]["SecurityOpt"] = sent


def _profile(path: str) -> str:
    """The profile's JSON, checked and compact."""
    try:
        with open(path, encoding="utf-8") as file:
            return jsontext.dumps(jsontext.loads(file.read()))
    except OSError as error:
        raise Failure(f"opening seccomp profile ({path}) failed: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise Failure(f"compacting json for seccomp profile ({path}) failed: {error}") from None
