"""`firkin-oci checkpoint`: write a running container's state to files, through CRIU. Source: runc checkpoint.go."""

from __future__ import annotations

import os
import posixpath
from contextlib import contextmanager

from firkin.errors import Conflict, Invalid, Unsupported
from firkin.oci import json_text
from firkin.runtime.oci import criu, criu_options, criu_outside, criu_wire, destroy, flags, notify
from firkin.runtime.oci.record import NOTIFY, PAUSED, RUNNING, Directory, frozen, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.context import Context
    from firkin.runtime.oci.flags import Options
    from firkin.runtime.oci.record import Record

ARGUMENTS, WORDS = (1, 1), "<container-id>"
FLAGS = (
    *criu_options.COMMON,
    ("parent-path", flags.TEXT, "", "directory of the images of an earlier pre-dump, from that of the images"),
    ("leave-running", flags.SWITCH, "", "leave the process running after checkpointing"),
    ("tcp-skip-in-flight", flags.SWITCH, "", "leave out tcp connections that are being made"),
    ("link-remap", flags.SWITCH, "", "give open files that have no name a temporary one"),
    ("status-fd", flags.NUMBER, "", "gets a zero byte when memory can be fetched (--lazy-pages)"),
    ("page-server", flags.TEXT, "", "ADDRESS:PORT of the page server that memory goes to"),
    ("pre-dump", flags.SWITCH, "", "dump memory only, leave the container running"),
)
_SWITCHES = ("leave-running", "tcp-skip-in-flight", "link-remap")
_MOST_PORTS = 65535


def main(context: Context) -> int:
    options, directory = context.options, Directory(context.root, context.id)
    record = directory.load()
    if (status := directory.status(record)) not in (RUNNING, PAUSED):
        raise Conflict(f"Container cannot be checkpointed in {status} state")
    config, verb = directory.config(), criu_wire.PRE_DUMP if options.on("pre-dump") else criu_wire.DUMP
    if os.path.isdir(directory.file(NOTIFY)):
        config = notify.mounted(config, directory)
    work = criu_options.Work(options, verb)
    os.makedirs(work.images, 0o700, exist_ok=True)
    _demand(context, verb, work)
    wanted = {**criu_options.common(options, config), **_memory(options, work.images), **_who(config, record)}
    if verb == criu_wire.DUMP:
        wanted |= _whole(options, config, record, work.images)
    with _movable(record):
        criu.Criu(context, verb, work).ask(wanted, lambda reached, pid, descriptors: _tell(options, reached))
    if verb == criu_wire.DUMP and not options.on("leave-running"):
        destroy.end(record)
        destroy.remove(directory, record, context.log)
    return 0


@contextmanager
def _movable(record: Record) -> Iterator[None]:
    """CRIU has processes run code of its own. Out of a version 1 freezer it lets them for that; a paused group of version 2 is
    let go here, for CRIU to hold still again."""
    paused = record.cgroups.version("freezer") == 2 and frozen(record)
    if paused:
        record.cgroups.thaw(record.cgroup_path)
    try:
        yield
    finally:
        if paused and record.cgroups.processes(record.cgroup_path):
            record.cgroups.freeze(record.cgroup_path)


def _demand(context: Context, verb: int, work: criu_options.Work) -> None:
    """Raises `Unsupported` for what CRIU would fail at without saying that the kernel lacks it."""
    options = context.options
    wanted = {
        "mem_track": ("pre-dump", verb == criu_wire.PRE_DUMP, "which memory has changed (CONFIG_MEM_SOFT_DIRTY)"),
        "lazy_pages": ("lazy-pages", options.on("lazy-pages"), "which memory is wanted (userfaultfd)"),
    }
    for feature, (flag, used, lacking) in wanted.items():
        if used and not criu.Criu(context, verb, work).has(feature):
            raise Unsupported(f"--{flag}: this kernel does not tell CRIU {lacking}")


def _who(config: Config, record: Record) -> dict[str, Any]:
    """The processes, held still by their group if that is theirs alone."""
    alone = record.cgroup_path and not record.cgroup_shared and record.cgroups.version("freezer")
    return {
        "pid": record.pid,
        "root": record.rootfs,
        "freeze_cgroup": posixpath.dirname(record.cgroups.file(record.cgroup_path, "freezer", "")) if alone else None,
        "external": criu_outside.namespaces_to_dump(config, record.pid),
    }


def _memory(options: Options, images: str) -> dict[str, Any]:
    """Where memory goes, and where some of it is already."""
    wanted: dict[str, Any] = {}
    if parent := options.text("parent-path"):
        if posixpath.isabs(parent) or not os.path.isdir(f"{images}/{parent}"):
            raise Invalid(f"--parent-path {parent}: want a directory, as seen from {images}")
        wanted = {"parent_img": parent, "track_mem": True}
    if server := options.text("page-server"):
        address, _, port = server.rpartition(":")
        if not address or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _MOST_PORTS:
            raise Invalid(f"--page-server {server}: want ADDRESS:PORT")
        wanted["ps"] = {"address": address.strip("[]"), "port": int(port)}
    return wanted


def _whole(options: Options, config: Config, record: Record, images: str) -> dict[str, Any]:
    """What matters where processes are dumped, not only their memory."""
    criu_outside.refuse_ambiguous(config)
    streams = criu_outside.streams_of(record.pid)
    write(f"{images}/{criu_outside.STREAMS}", json_text.dumps(streams).encode())
    outside = [name for name in dict.fromkeys(streams) if name.startswith(criu_outside.FILE)]
    return {
        **{name.replace("-", "_"): True for name in _SWITCHES if options.on(name)},
        "ext_mnt": criu_outside.to_dump(config, record),
        "external": [*criu_outside.namespaces_to_dump(config, record.pid), *outside],
    }


def _tell(options: Options, reached: str) -> None:
    if reached == "status-ready" and options.has("status-fd"):
        os.write(options.number("status-fd"), b"\0")
        os.close(options.number("status-fd"))
