"""`firkin-oci list`: the containers of one root."""

from __future__ import annotations

import os
import pwd
import sys

from firkin.errors import FirkinError, Invalid
from firkin.runtime.oci import flags, show
from firkin.runtime.oci.record import Directory, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (0, 0), ""
FLAGS = (
    ("format", flags.TEXT, "f", "one of: table or json (default: table)"),
    ("quiet", flags.SWITCH, "q", "display only container IDs"),
)
_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def main(context: Context) -> int:
    found = _containers(context)
    form = context.options.text("format", "table")
    if context.options.on("quiet"):
        sys.stdout.write("".join(f"{one['id']}\n" for one in found))
    elif form == "json":
        show.line(found or None)
    elif form == "table":
        show.table([[name.upper() for name in _COLUMNS], *([str(one[name]) for name in _COLUMNS] for one in found)])
    else:
        raise Invalid("invalid format option")
    return 0


def _containers(context: Context) -> list[dict[str, object]]:
    try:
        names = sorted(os.listdir(context.root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            directory = Directory(context.root, name)
            record = directory.load()
        except (FirkinError, NotADirectoryError) as error:
            if os.path.exists(f"{context.root}/{name}/state.json"):
                context.log.warn(f"load container {name}: {error}")
            continue
        found.append({**state(record, directory.status(record)), "owner": _user(record.owner)})
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
