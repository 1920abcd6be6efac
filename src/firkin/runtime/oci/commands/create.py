"""`firkin-oci create`: everything but the program, which waits for `start`."""

from __future__ import annotations

from firkin.runtime.oci import bundle, destroy
from firkin.runtime.oci.finish import announce
from firkin.runtime.oci.launch import launch
from firkin.runtime.oci.launch_flags import COMMON
from firkin.runtime.oci.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = COMMON


def main(context: Context) -> int:
    bundled = bundle.load(context.options.text("bundle"))
    process = bundled.config.process
    streams = Streams(context, bool(process and process.terminal), detach=True)
    container = launch(context, bundled, streams, gated=True)
    try:
        announce(container, streams, context.options.text("pid-file"))
    except BaseException:
        destroy.end(container.record)
        destroy.remove(container.directory, container.record, context.log)
        raise
    return 0
