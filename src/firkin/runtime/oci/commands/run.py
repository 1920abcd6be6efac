"""`firkin-oci run`: create a container, start it, wait for it unless detached, and clean up after it."""

from __future__ import annotations

from firkin.runtime.oci import bundle, destroy, flags
from firkin.runtime.oci.finish import announce, poststart
from firkin.runtime.oci.foreground import Foreground
from firkin.runtime.oci.launch import Container, launch
from firkin.runtime.oci.launch_flags import COMMON
from firkin.runtime.oci.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    *COMMON,
    ("detach", flags.SWITCH, "d", "detach from the container's process"),
    ("keep", flags.SWITCH, "", "do not delete the container after it exits"),
    ("no-subreaper", flags.SWITCH, "", "do not reap processes that the container leaves behind"),
)


def main(context: Context) -> int:
    options = context.options
    detach = options.on("detach")
    bundled = bundle.load(options.text("bundle"))
    process = bundled.config.process
    streams = Streams(context, bool(process and process.terminal), detach=detach)
    foreground = None if detach else Foreground(subreaper=not options.on("no-subreaper"))
    container = launch(context, bundled, streams, gated=False)
    try:
        announce(container, streams, options.text("pid-file"))
        poststart(container.config, container.record)
        code = 0
        if container.notices and detach:
            container.notices.await_ready(container.child.pid, container.child.pidfd)
        if foreground:
            code = _attend(foreground, container, streams)
    except BaseException:
        _clean_up(context, container)
        raise
    if foreground and not options.on("keep"):
        _clean_up(context, container)
    return code


def _attend(foreground: Foreground, container: Container, streams: Streams) -> int:
    child = container.child
    relays = streams.relays if child.console is None else foreground.take_terminal(child.console)
    return foreground.wait(child.pid, relays, container.notices)


def _clean_up(context: Context, container: Container) -> None:
    destroy.end(container.record)
    destroy.remove(container.directory, container.record, context.log, container.config)
