"""`firkin-oci restore`: a container again from what `checkpoint` wrote, through CRIU.

CRIU wants the root to be a mount, so it is made one in a mount namespace of this command's own. Source: criu(8).
"""

from __future__ import annotations

import os

from firkin.errors import Unsupported
from firkin.linux import mount, process
from firkin.runtime.oci import bundle, criu, destroy, flags, groups, hooks
from firkin.runtime.oci.foreground import Foreground
from firkin.runtime.oci.launch import first_record
from firkin.runtime.oci.record import RUNNING, Directory, read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    *criu.COMMON,
    ("bundle", flags.PATH, "b", "path to the root of the bundle directory"),
    ("detach", flags.SWITCH, "d", "detach from the container's process"),
    ("pid-file", flags.PATH, "", "file to write the process id to"),
    ("no-subreaper", flags.SWITCH, "", "do not reap processes that the container leaves behind"),
)


def main(context: Context) -> int:
    options = context.options
    bundled = bundle.load(options.text("bundle"))
    if bundled.config.process and bundled.config.process.terminal:
        raise Unsupported("process.terminal: restoring a container with a terminal is not implemented")
    foreground = Foreground(subreaper=True)  # the restored process is CRIU's child, and CRIU ends
    directory = Directory(context.root, context.id)
    directory.make()
    record = first_record(directory, bundled, groups.place(bundled.config, context.id, context.systemd))
    try:
        directory.keep_config(bundled.data)
        pid = _restore(context, directory, bundled)
        record = record.replace(pid=pid, start_time=process.start_time(pid))
        directory.save(record)
    except BaseException:
        destroy.remove(directory, record, context.log)
        raise
    if options.text("pid-file"):
        write(options.text("pid-file"), str(pid).encode())
    if bundled.config.hooks:
        hooks.run("poststart", bundled.config.hooks.poststart, record, RUNNING)
    if options.on("detach"):
        return 0
    code = foreground.wait(pid, [])
    destroy.remove(directory, record, context.log)
    return code


def _restore(context: Context, directory: Directory, bundled: bundle.Bundle) -> int:
    """The pid of the restored first process."""
    pid_file = directory.file("restored.pid")
    process.unshare(process.CLONE_NEWNS)
    mount.mount(None, "/", None, mount.MS_SLAVE | mount.MS_REC)
    mount.mount(bundled.rootfs, bundled.rootfs, None, mount.MS_BIND | mount.MS_REC)
    words = ["restore", "--root", bundled.rootfs, "--restore-detached", "--pidfile", pid_file, *criu.common(context.options)]
    criu.run(context, [*words, *criu.outside(bundled.config, restoring=True)])
    pid = int(read(pid_file))
    os.unlink(pid_file)
    return pid
