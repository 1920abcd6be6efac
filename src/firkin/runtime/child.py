"""The interpreter between clone and execve: it obeys a plan's child steps, one row of a table after the other.

The invariant: `run` never returns. It becomes the program, or reports (index of the failed step, errno, detail) to the
launcher and ends; the launcher reads end-of-file as success. One thread, no imports, no logging, no codec look-ups.
"""

from __future__ import annotations

import errno
import marshal
import os
import sys

from firkin.linux import capabilities, fds, fs, mount, process
from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink
from firkin.runtime import (
    accounts,
    last_words,
    seccomp_listener,
    steps_files,
    steps_identity,
    steps_lifecycle,
    steps_mounts,
    steps_namespaces,
    steps_network,
    steps_process,
    steps_scheduling,
    steps_streams,
    wire,
)
from firkin.runtime.state import State, explain, number_of, steps_of

STEPS = {
    **steps_namespaces.STEPS,
    **steps_mounts.STEPS,
    **steps_files.STEPS,
    **steps_network.STEPS,
    **steps_streams.STEPS,
    **steps_lifecycle.STEPS,
    **steps_identity.STEPS,
    **steps_process.STEPS,
    **steps_scheduling.STEPS,
    **seccomp_listener.STEPS,
}

TYPE_CHECKING = False  # as typing has it; importing that takes a millisecond
if TYPE_CHECKING:
    from typing import NoReturn

_FAILED = 127


def run(plan: dict[str, object], handed: dict[str, int], status: socket.socket, netlink: Netlink | None = None) -> None:
    """Never returns. `handed` are the plan's descriptors by name, `status` is this end of the launcher's socket pair, and
    `netlink` is the launcher's, of the host's network; it is kept for a "carrier" step only."""
    try:
        steps = steps_of(plan, "child")
        host = netlink if _uses_host_network(steps) else None
        _forget_launcher([status.fileno(), *handed.values(), *([host.fileno()] if host else [])], bool(plan.get("dumpable")))
        own_users = bool(number_of(plan, "clone") & process.CLONE_NEWUSER or plan.get("userns"))
    except BaseException as error:
        _fail(status, -1, error)
    _obey(steps, handed, status, host, own_users)


def wait(status: socket.socket, null: int, netlink: Netlink, own_users: bool) -> None:
    """Never returns. As `run`, of a child that is cloned before there is a plan (see `spare`): that comes as a message.
    `null` is the sealed null device. If the launcher ends first, so does this."""
    try:
        _forget_launcher([status.fileno(), null, netlink.fileno()])
        _warm_up(own_users)
        (plan,), received = wire.receive(status)
    except BaseException:
        os._exit(_FAILED)
    try:
        assert isinstance(plan, dict)
        steps = steps_of(plan, "child")
        handed = {"null": null, **dict(zip(plan["names"], received, strict=True))}
        host = netlink if _uses_host_network(steps) else None
        if host is None:
            os.close(netlink.fileno())
        process.unshare(process.CLONE_NEWNS)
    except BaseException as error:
        _fail(status, -1, error)
    _obey(steps, handed, status, host, own_users)


def _warm_up(own_users: bool) -> None:
    """Go through some motions of a start, to no effect: a page of the interpreter is copied when it is first touched, and
    better while nobody waits."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fs.in_root(root, "/no such file")
    except FileNotFoundError:
        pass
    if not own_users:  # then not before there is a mount namespace of its own, too
        made = mount.filesystem("tmpfs", "tmpfs", mount.MOUNT_ATTR_NOSUID, ["mode=755"])
        mount.set_attributes(made, mount.MOUNT_ATTR_RDONLY, 0, mount.MS_PRIVATE, False)
        os.close(made)
    with Netlink() as own:
        own.set_up("lo")  # as every container's is
    accounts.find_account("root", [], b"root:x:0:0:root:/root:/bin/sh\n", b"root:x:0:\n")
    capabilities.get()
    os.close(root)


def _obey(
    steps: list[tuple[object, ...]], handed: dict[str, int], status: socket.socket, host: Netlink | None, own_users: bool
) -> None:
    index = -1
    try:
        state = State(handed, status, own_users)
        state.host_netlink = host
        for index, (operation, *arguments) in enumerate(steps):  # noqa: B007 read when a step raises
            STEPS[str(operation)](state, *arguments)  # type: ignore[operator]
        raise OSError(0, "", "the plan ends without a program")
    except BaseException as error:
        _fail(status, index, error)


def _fail(status: socket.socket, index: int, error: BaseException) -> NoReturn:
    """Report and end."""
    try:
        number = (error.errno if isinstance(error, OSError) else 0) or 0
        last_words.tell(number or errno.EINVAL)
        fds.send_fds(status, marshal.dumps((index, number, explain(error))), [])
    finally:
        os._exit(_FAILED)


def _uses_host_network(steps: list[tuple[object, ...]]) -> bool:
    return any(step[0] == "carrier" for step in steps)


def _forget_launcher(kept: list[int], dumpable: bool = False) -> None:
    """Shed what a container must neither inherit nor find by looking at this process once it is in its namespaces. An
    ordinary user can write the id maps of a `dumpable` process only, which it is until it has them."""
    process.set_dumpable(dumpable)
    fds.close_all_but(kept)
    process.reset_signals()
    os.umask(0)
    sys.path_hooks.clear()  # nothing is looked for in files any more: soon they are the container's
    sys.path_importer_cache.clear()
