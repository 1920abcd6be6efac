"""`firkin-oci restore`: a container again from what `checkpoint` wrote, through CRIU. Source: runc criu_restore.go."""

from __future__ import annotations

import os

from firkin.errors import Internal
from firkin.runtime.oci import bundle, criu, criu_options, criu_restore, criu_wire, destroy, flags, notify
from firkin.runtime.oci.criu_restore import Restored
from firkin.runtime.oci.finish import poststart
from firkin.runtime.oci.foreground import Foreground
from firkin.runtime.oci.launch import begin
from firkin.runtime.oci.record import write
from firkin.runtime.oci.streams import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    *criu_options.COMMON,
    ("bundle", flags.PATH, "b", "path to the root of the bundle directory"),
    ("console-socket", flags.TEXT, "", "unix socket that gets the master of the container's terminal"),
    ("detach", flags.SWITCH, "d", "detach from the container's process"),
    ("pid-file", flags.PATH, "", "file to write the process id to"),
    ("no-subreaper", flags.SWITCH, "", "do not reap processes that the container leaves behind"),
    ("no-pivot", flags.SWITCH, "", "without effect: CRIU finds its way into the root itself"),
    ("lsm-profile", flags.TEXT, "", "security profile to run under, TYPE:NAME"),
    ("lsm-mount-context", flags.TEXT, "", "SELinux label of mounts"),
)


def main(context: Context) -> int:
    options, detach = context.options, context.options.on("detach")
    work = criu_options.Work(options, criu_wire.RESTORE)
    bundled = bundle.load(options.text("bundle"))
    process = bundled.config.process
    streams = Streams(context, bool(process and process.terminal), detach=detach)
    foreground = None if detach else Foreground(subreaper=not options.on("no-subreaper"))
    directory, record, place = begin(context, bundled)
    if os.environ.get("NOTIFY_SOCKET"):  # as when it was created; whether it is ready is told once, and not again
        bundled = bundle.Bundle(bundled.path, bundled.data, notify.provide(bundled.config, directory), bundled.rootfs)
    restored = Restored(directory, record, bundled.config, streams)
    try:
        with criu_restore.occupied(place):
            restored.record = record.replace(cgroup_path=place.path, unit=place.unit)
            _restore(context, bundled, work, streams, restored)
        if options.text("pid-file"):
            write(options.text("pid-file"), str(restored.record.pid).encode())
        poststart(bundled.config, restored.record)
        code = 0
        if foreground:
            relays = streams.relays if restored.console is None else foreground.take_terminal(restored.console)
            code = foreground.wait(restored.record.pid, relays)
    except BaseException:
        destroy.end(restored.record)
        destroy.try_to_remove(directory, restored.record, context.log)
        raise
    if foreground:
        destroy.end(restored.record)
        destroy.remove(directory, restored.record, context.log)
    return code


def _restore(context: Context, bundled: bundle.Bundle, work: criu_options.Work, streams: Streams, restored: Restored) -> None:
    options, config = context.options, bundled.config
    numbers = streams.numbers()
    wanted, opened = criu_restore.options(config, restored.record, work.images, numbers)
    wanted |= criu_options.common(options, config)
    wanted |= {
        "lsm_profile": options.text("lsm-profile") or None,
        "lsm_mount_context": options.text("lsm-mount-context") or None,
    }
    with criu_restore.aside():
        criu_restore.make_mount_points(config, bundled.rootfs)
    with criu_restore.aside():
        criu_restore.mount_for_criu(bundled.rootfs)
        running = criu.Criu(context, criu_wire.RESTORE, work, [*numbers, *opened])
    streams.close_handed()
    for fd in opened:
        os.close(fd)
    running.ask(wanted, restored.told)
    if not restored.record.pid:
        raise Internal("criu restore failed: it has not said that it was done")
