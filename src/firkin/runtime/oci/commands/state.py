"""`firkin-oci state`: what runs, as the specification says it."""

from __future__ import annotations

from firkin.runtime.oci import show
from firkin.runtime.oci.record import Directory, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS, FLAGS = (1, 1), "<container-id>", ()


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    record = directory.load()
    show.json({**state(record, directory.status(record)), "owner": ""})
    return 0
