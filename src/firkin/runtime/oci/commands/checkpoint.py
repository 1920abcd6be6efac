"""`firkin-oci checkpoint`: write a running container's state to files, through CRIU."""

from __future__ import annotations

import os

from firkin.errors import Conflict
from firkin.runtime.oci import criu, destroy, flags
from firkin.runtime.oci.record import PAUSED, RUNNING, Directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    *criu.COMMON,
    ("parent-path", flags.TEXT, "", "directory of the images of an earlier pre-dump"),
    ("leave-running", flags.SWITCH, "", "leave the process running after checkpointing"),
    ("pre-dump", flags.SWITCH, "", "dump memory only, leave the container running"),
)


def main(context: Context) -> int:
    options, directory = context.options, Directory(context.root, context.id)
    record = directory.load()
    if (status := directory.status(record)) not in (RUNNING, PAUSED):
        raise Conflict(f"Container cannot be checkpointed in {status} state")
    os.makedirs(criu.images(options), 0o700, exist_ok=True)
    verb, config = "pre-dump" if options.on("pre-dump") else "dump", directory.config()
    words = [verb, "--tree", str(record.pid), "--root", record.rootfs, *criu.common(options)]
    if options.text("parent-path"):
        words += ["--prev-images-dir", options.text("parent-path")]
    if options.on("leave-running") and verb == "dump":
        words.append("--leave-running")
    criu.run(context, [*words, *criu.outside(config, restoring=False)])
    if verb == "dump" and not options.on("leave-running"):
        destroy.remove(directory, record, context.log)
    return 0
