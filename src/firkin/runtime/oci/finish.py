"""What `create`, `run`, `exec` and `start` do once the child is where it should be: tell its pid, hand over its terminal, run
poststart hooks."""

from __future__ import annotations

from firkin.runtime.oci import hooks
from firkin.runtime.oci.record import RUNNING, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.launch import Container
    from firkin.runtime.oci.record import Record
    from firkin.runtime.oci.streams import Streams


def announce(container: Container, streams: Streams, pid_file: str) -> None:
    child = container.child
    if child.console is not None and streams.console_socket:
        streams.send_console(child.console)
    streams.send_pidfd(b"standard", child.pidfd)
    if pid_file:
        write(pid_file, str(child.pid).encode())
    child.let_go()


def poststart(config: Config, record: Record) -> None:
    if config.hooks and config.hooks.poststart:
        hooks.run("poststart", config.hooks.poststart, record, RUNNING)
