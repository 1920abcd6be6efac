"""`firkin-oci start`: let the program of a created container run, and tell if it could not.

The child answers over the connection it takes: end of file when the program runs, else (step, errno, detail).
"""

from __future__ import annotations

import _socket
import os

from firkin.errors import Conflict, Invalid
from firkin.runtime.oci import destroy, late
from firkin.runtime.oci.child import explain
from firkin.runtime.oci.finish import poststart
from firkin.runtime.oci.record import CREATED, GATE, STOPPED, Directory, open_process
from firkin.runtime.spawn import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS, FLAGS = (1, 1), "<container-id>", ()


def main(context: Context) -> int:
    directory = Directory(context.root, context.id)
    record = directory.load()
    status = directory.status(record)
    if status == STOPPED:
        raise Conflict("cannot start a container that has stopped")
    if status != CREATED:
        raise Conflict(f"cannot start an already {status} container")
    notices = late.module("oci.notify").Notices(directory, context.log) if os.environ.get("NOTIFY_SOCKET") else None
    _open_gate(directory, record)
    config = directory.config()
    try:
        poststart(config, record)
    except BaseException:
        destroy.end(record)
        destroy.remove(directory, record, context.log)
        raise
    if notices:
        notices.await_ready(record.pid, open_process(record))
    return 0


def _open_gate(directory: Directory, record: Record) -> None:
    """Only one `start` gets through: the gate's name goes before anybody is connected with it."""
    parent = os.open(directory.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = f".{GATE}.{os.getpid()}"
    try:
        os.rename(GATE, opened, src_dir_fd=parent, dst_dir_fd=parent)
    except FileNotFoundError:
        raise Conflict("cannot start an already running container") from None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        connection.connect(f"/proc/self/fd/{parent}/{opened}")
        outcome = Outcome()
        while not outcome.done:
            outcome.receive(connection)
    except (ConnectionResetError, ConnectionRefusedError):
        raise Conflict("cannot start a container that has stopped") from None
    finally:
        os.unlink(opened, dir_fd=parent)
        os.close(parent)
    if outcome.failure:
        index, number, detail = outcome.failure
        operation = record.steps[index] if 0 <= index < len(record.steps) else ""
        raise Invalid(f"unable to start container process: {explain(operation, number, detail)}")
