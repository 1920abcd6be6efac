"""/dev/shm of containers that share their IPC namespace: a tmpfs of limited size, for the one that lends and all that join.

It is mounted in the daemon's mount namespace, below the exec root, as dockerd does it: there a container that joins can be
given it at any time, which it cannot be out of the lender's own mount namespace (open_tree(2) copies no mount of another),
nor from a descriptor of the shepherds' (before Linux 6.15 it copies no detached one).

Invariant: what is mounted there bears the id of a container that is up. A container's end takes it away, and the next
daemon does, after one that was killed in between. Who has joined keeps what he has until his own end.
"""

from __future__ import annotations

import errno
import os
from contextlib import AsyncExitStack

from firkin.engine import userns
from firkin.engine.engine import Engine
from firkin.errors import Conflict, Internal, reason
from firkin.linux import mount
from firkin.model import Container
from firkin.runtime.spec import selinux_labels

_HARDENED = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC
_ALREADY_GONE = (errno.EINVAL, errno.ENOENT)  # of umount2(2): not a mount, not a file


def acquire(engine: Engine, record: Container, undo: AsyncExitStack) -> str:
    """The directory of the host's for /dev/shm when it is shared; "" for a tmpfs of the container's own.

    Raises `Conflict` when the container to join does not lend its own, `Internal` when the kernel refuses the mount.
    """
    if record.host.ipc_mode != "shareable":
        return _joined(engine, record)
    release(engine, record.id)  # left by a daemon that was killed while it started this container
    undo.callback(release, engine, record.id)
    try:
        _mount(_directory(engine, record.id), _options(engine, record))
    except OSError as error:
        raise Internal(f"mount shared memory of {record.id}: {reason(error)}") from error
    return _directory(engine, record.id)


def release(engine: Engine, container_id: str) -> None:
    """Take it away; fine where there is none."""
    directory = _directory(engine, container_id)
    try:
        mount.umount(directory, mount.MNT_DETACH)
    except OSError as error:
        if error.errno not in _ALREADY_GONE:
            raise
    if os.path.isdir(directory):
        os.rmdir(directory)


def keep_only(engine: Engine, up: set[str]) -> None:
    """What else is there was left by a daemon that was killed."""
    if os.path.isdir(engine.layout.shared_memory):
        for container_id in set(os.listdir(engine.layout.shared_memory)) - up:
            release(engine, container_id)


def _joined(engine: Engine, record: Container) -> str:
    """The host's, or what a container lends; who has joined one may be joined in turn."""
    mode = record.host.ipc_mode
    if mode == "host":
        return "/dev/shm"
    if not mode.startswith("container:"):
        return ""
    owner = engine.containers.joined(mode)
    if owner.host.ipc_mode == "shareable":
        return _directory(engine, owner.id)
    directory = _joined(engine, owner)
    if not directory:
        raise Conflict(
            f"cannot join IPC of a container {owner.id}: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)"
        )
    return directory


def _options(engine: Engine, record: Container) -> list[str]:
    user, group = userns.root_of(record.id_maps) or (0, 0)
    label = selinux_labels(record, engine.machine)[1]
    context = [f"context={label}"] if label else []
    return [f"size={record.host.shm_size}", "mode=1777", f"uid={user}", f"gid={group}", *context]


def _mount(directory: str, options: list[str]) -> None:
    # For no other user of the machine: it is for every user of the container.
    os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    os.mkdir(directory, 0o700)
    new = mount.filesystem("tmpfs", "shm", _HARDENED, options)
    try:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount.attach(new, place)
        finally:
            os.close(place)
    finally:
        os.close(new)


def _directory(engine: Engine, container_id: str) -> str:
    return os.path.join(engine.layout.shared_memory, container_id)
