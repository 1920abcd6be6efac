"""The end of a container: its processes, its cgroup, its directory, its poststop hooks. In that order.

Source: runtime-spec runtime.md "Delete" and "Lifecycle" (12, 13).
"""

from __future__ import annotations

import os
import select

from firkin.errors import Internal
from firkin.linux import process, resctrl
from firkin.runtime import plan_outside
from firkin.runtime.oci import hooks, late, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.oci.failure import Log
    from firkin.runtime.oci.record import Directory, Record

_SIGKILL = 9
_PATIENCE = 10_000  # ms


def end(one: Record) -> None:
    """Kill what runs in it, and wait until it does no more."""
    if one.cgroup_path and not one.own_pids and not one.cgroup_shared:  # else the kernel ends them all with the first
        one.cgroups.kill(one.cgroup_path)
    pidfd = record.open_process(one) if record.alive(one) else -1
    if pidfd >= 0:
        process.pidfd_send_signal(pidfd, _SIGKILL)
    if one.cgroup_path and record.frozen(one):  # as long as it is, nobody in it can end
        one.cgroups.thaw(one.cgroup_path)
    if pidfd >= 0:
        await_exit(pidfd)
        os.close(pidfd)


def await_exit(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(_PATIENCE):
        raise Internal("container init still running")


def remove(directory: Directory, one: Record, log: Log, config: Config | None = None) -> None:
    """All that is left of a stopped container. A poststop hook that fails is a warning. `config`: the container's, where it
    has been read already."""
    _leave_group(one)
    wanted = None
    try:
        config = config or directory.config()
        wanted = config.hooks
        made = plan_outside.cache_groups_made(config.linux.intel_rdt, one.id)
        _leave_cache_groups([*made, *filter(None, [one.cache_class])])
    except FileNotFoundError:
        pass
    directory.remove()
    if wanted and wanted.poststop:
        hooks.run_all("poststop", wanted.poststop, one, record.STOPPED, log)


def try_to_remove(directory: Directory, one: Record, log: Log) -> None:
    """After another error, which is the one to be told."""
    try:
        remove(directory, one, log)
    except OSError as error:
        log.warn(f"clean up after container {one.id}: {error.filename}: {os.strerror(error.errno or 0).lower()}")


def _leave_group(one: Record) -> None:
    """A group that was there before is not this container's alone: it goes only if nobody is left in it or below it."""
    if not one.cgroup_path:
        return
    if one.unit:
        late.module("oci.scopes").stop(one.unit)
    if not one.cgroup_shared:
        one.cgroups.remove(one.cgroup_path)
        return
    for root in {*one.cgroup_v1.values(), one.cgroup_v2} - {""}:
        try:
            os.rmdir(root + one.cgroup_path)
        except OSError:
            pass


def _leave_cache_groups(groups: list[str]) -> None:
    """Remove those that were made for this container."""
    if not groups:
        return
    try:
        resctrl.remove(resctrl.mount_point(), *groups)
    except OSError:  # not mounted any more, or it was this that failed the start
        pass
