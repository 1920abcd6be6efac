"""From a bundle to a container: `create` and `run` are this, with and without a pause before the program.

A pipeline of values: configuration -> plan -> child -> record. What is made on the way is taken back when a later step fails,
and by then the child has ended. Source: runtime-spec runtime.md "Create".
"""

from __future__ import annotations

import _socket
import os

from firkin.errors import Internal
from firkin.linux import process
from firkin.linux.netlink import Netlink
from firkin.oci.runtime_resources import Resources
from firkin.runtime import plan
from firkin.runtime.oci import caller, destroy, groups, hooks, late, own_users, seccomp
from firkin.runtime.oci.child import Child, open_namespaces
from firkin.runtime.oci.record import CREATING, GATE, GATE_UNREADY, Directory, Record, now
from firkin.runtime.validate import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.bundle import Bundle
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.notify import Notices
    from firkin.runtime.oci.streams import Streams


class Container:
    """One that has just been made: its directory, record, configuration and first process; `notices`: see `notify`."""

    def __init__(self, directory: Directory, record: Record, config: Config, child: Child, notices: Notices | None) -> None:
        self.directory, self.record, self.config, self.child = directory, record, config, child
        self.notices = notices


def launch(context: Context, bundled: Bundle, streams: Streams, *, gated: bool) -> Container:
    """Start it; `gated`: up to the point where only `start` is missing. Nothing is left when it fails."""
    for text in warnings(bundled.config):
        context.log.warn(text)
    directory, record, place = begin(context, bundled)
    child = notices = None
    try:
        config = bundled.config
        if os.environ.get("NOTIFY_SOCKET"):
            notify = late.module("oci.notify")
            config = notify.provide(config, directory)
            notices = None if gated else notify.try_to_listen(directory, context.log)
        child = _spawn(context, directory, config, record, place, streams, gated)
        place.admit(child.pid)
        record = record.replace(cgroup_path=place.path, unit=place.unit)
        record = record.replace(pid=child.pid, start_time=process.start_time(child.pid))
        if gated:
            record = record.replace(steps=tuple(child.operations()))
        directory.save(record)
        place.release()
        _follow(child, bundled.config, record)
        if gated:
            os.rename(directory.file(GATE_UNREADY), directory.file(GATE))
        return Container(directory, record, bundled.config, child, notices)
    except BaseException:
        if child:
            child.end()
        destroy.try_to_remove(directory, record, context.log)
        raise


def begin(context: Context, bundled: Bundle) -> tuple[Directory, Record, groups.Place]:
    """Its directory, the record of a container that has no process yet, and its group, with every limit in force unless it is
    made around a process."""
    directory = Directory(context.root, context.id)
    directory.make()
    try:
        directory.keep_config(bundled.data)
        place = groups.place(bundled.config, context.id, context.systemd)
        place.make(bundled.config.linux.resources or Resources(), optional=context.rootless)
    except BaseException:
        directory.remove()
        raise
    return directory, _first_record(directory, bundled, place), place


def _first_record(directory: Directory, bundled: Bundle, place: groups.Place) -> Record:
    v1, v2, controllers = place.cgroups.roots
    namespaces = bundled.config.linux.namespaces
    kinds = {one.type for one in namespaces if not one.path}
    return Record(
        id=directory.id,
        bundle=bundled.path,
        rootfs=bundled.rootfs,
        created=now(),
        owner=os.getuid(),
        annotations=bundled.config.annotations,
        cgroup_path="" if place.unit else place.path,  # what has that name now may be somebody else's
        cgroup_shared=place.existed,
        cgroup_v1=v1,
        cgroup_v2=v2,
        cgroup_controllers=tuple(sorted(controllers)),
        own_pids="pid" in kinds,
        own_users=any(one.type == "user" for one in namespaces),
        own_clocks=any(one.type == "time" for one in namespaces),
    )


def _spawn(
    context: Context,
    directory: Directory,
    config: Config,
    record: Record,
    place: groups.Place,
    streams: Streams,
    gated: bool,
) -> Child:
    """Decide, then act."""
    options, ordinary = context.options, caller.is_ordinary()
    linux = config.linux.replace(cgroups_path=place.path)
    handed = {**streams.handed, **open_namespaces(plan.namespace_paths(config))}
    if place.hold:
        handed["hold"] = place.hold.inner
    if gated:
        handed["gate"] = _gate(directory)
    steps = plan.container_plan(
        config.replace(linux=linux, process=streams.adapt(config.process)),
        plan.Launch(
            id=directory.id,
            root=record.rootfs,
            staging=record.rootfs,
            join_files=place.join_files(),
            hold="hold" if place.hold else "",
            stdio=streams.stdio,
            user=None,
            seccomp=seccomp.program(context.root, linux.seccomp),
            gate="gate" if gated else "",
            preserved=streams.preserved,
            hook_state=hooks.halves(record),
            keyring=not options.on("no-new-keyring"),
            pivot=not options.on("no-pivot"),
            bind_devices=ordinary or process.in_user_namespace(),
            set_groups=not own_users.forbids_groups(linux),
            own_maps=own_users.map_steps(linux) if ordinary else None,
            plain_newlines=not streams.console_socket,
        ),
    )
    try:
        return Child(steps, handed, Netlink())
    finally:
        streams.close_handed()


def _gate(directory: Directory) -> int:
    """The socket at which the child will wait. Bound through a short name: a socket's address has at most 107 bytes."""
    parent = os.open(directory.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    listener.bind(f"/proc/self/fd/{parent}/{GATE_UNREADY}")
    listener.listen(1)
    os.close(parent)
    return listener.detach()


def _follow(child: Child, config: Config, record: Record) -> None:
    """Until the program runs, or waits to be started."""
    while (reached := child.progress()) == "hooks":
        wanted = config.hooks
        assert wanted
        hooks.run("prestart", wanted.prestart, record, CREATING)
        hooks.run("createRuntime", wanted.create_runtime, record, CREATING)
        child.go_on()
    if reached not in ("start", ""):
        raise Internal(f"the child waits for {reached}")
