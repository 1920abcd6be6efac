"""What is known of a container between commands: a directory `ROOT/ID` with `state.json`, the configuration it was created
with, and, as long as it waits to be started, a socket.

The invariant: what the kernel can tell (does the process live? is it frozen?) is asked of the kernel, never remembered; a pid
is believed only together with its start time. Source: runtime-spec runtime.md "State", runc libcontainer/container_linux.go.
"""

from __future__ import annotations

import errno
import os
import time

from firkin.errors import Conflict, Internal, Invalid, NotFound
from firkin.linux import process
from firkin.linux.cgroup import Cgroups
from firkin.oci import json_text
from firkin.oci.runtime_config import OCI_VERSION, Config, from_json
from firkin.oci.runtime_value import EMPTY, Value

CREATING, CREATED, RUNNING, STOPPED, PAUSED = "creating", "created", "running", "stopped", "paused"
GATE = "start.sock"  # as long as this is there, the container waits for `start`
GATE_UNREADY = "creating.sock"  # what it is called while `create` is at work
NOTIFY, NOTIFY_SOCKET = "notify", "notify.sock"  # what the container has for systemd's: a directory and a socket in it
_OURS = ("state.json", "config.json", GATE, GATE_UNREADY)
_BLOCK = 1 << 16
_LONGEST_ID = 1024
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


class Record(Value):
    """`bundle` and `rootfs` are absolute; `cgroup_v1` and `cgroup_v2` say where the hierarchies were,
    `cgroup_path` which group it is in each, `cgroup_shared` that the group had been there before, `unit` which of systemd's
    units it is, if one; `own_pids`: it has a pid namespace of its own; `own_users`, `own_clocks`: not the host's; `steps`:
    what its child's steps are called, while it waits for `start`; `cache_class`: the one that `update` has made for it, ""
    for none."""

    id: str
    bundle: str
    rootfs: str
    created: str
    owner: int = 0
    pid: int = 0
    start_time: int = 0
    annotations: dict[str, str] = EMPTY
    cgroup_path: str = ""
    cgroup_v1: dict[str, str] = EMPTY
    cgroup_v2: str = ""
    cgroup_controllers: tuple[str, ...] = ()
    cgroup_shared: bool = False
    unit: str = ""
    own_pids: bool = True
    own_users: bool = False
    own_clocks: bool = False
    steps: tuple[str, ...] = ()
    cache_class: str = ""

    @property
    def cgroups(self) -> Cgroups:
        return Cgroups(dict(self.cgroup_v1), self.cgroup_v2, frozenset(self.cgroup_controllers))


class Directory:
    """The files of one container."""

    def __init__(self, root: str, name: str) -> None:
        if not name:
            raise Invalid("container id cannot be empty")
        if len(name) > _LONGEST_ID or name in (".", "..") or not _ID_LETTERS.issuperset(name):
            raise Invalid("invalid container ID format")
        self.root, self.id = root, name
        self.path = f"{root}/{name}"

    def make(self) -> None:
        os.makedirs(self.root, 0o700, exist_ok=True)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            raise Conflict("container with given ID already exists") from None

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"

    def load(self) -> Record:
        try:
            return Record.from_dict(json_text.loads(read(self.file("state.json"))))
        except FileNotFoundError:
            raise NotFound("container does not exist") from None
        except Invalid as error:
            raise Internal(f"read {self.file('state.json')}: {error.message}") from None

    def save(self, record: Record) -> None:
        """Whole or not at all."""
        write(self.file("state.json"), json_text.dumps(record.to_dict()).encode())

    def keep_config(self, data: bytes) -> None:
        """What the container was created with: later changes of the bundle are not to affect it."""
        fd = os.open(self.file("config.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(fd, data)
        os.close(fd)

    def config(self) -> Config:
        return from_json(read(self.file("config.json")))

    def remove(self) -> None:
        """What was made here, and nothing else: `--root` may have been given by mistake."""
        try:
            for name in os.listdir(self.path):
                if name.lstrip(".").startswith(_OURS):
                    os.unlink(self.file(name))
                elif name == NOTIFY:
                    self._remove_notify()
            os.rmdir(self.path)
        except FileNotFoundError:
            pass

    def _remove_notify(self) -> None:
        if os.path.lexists(socket := self.file(f"{NOTIFY}/{NOTIFY_SOCKET}")):
            os.unlink(socket)
        os.rmdir(self.file(NOTIFY))

    def status(self, record: Record) -> str:
        if not alive(record):
            return STOPPED if record.pid else CREATING
        if os.path.exists(self.file(GATE_UNREADY)):
            return CREATING
        if frozen(record):
            return PAUSED
        return CREATED if os.path.exists(self.file(GATE)) else RUNNING


def alive(record: Record) -> bool:
    """Whether its first process runs: a zombie does not, nor another process of the same number."""
    try:
        fields = process.stat_fields(record.pid)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == record.start_time


def frozen(record: Record) -> bool:
    cgroups = record.cgroups
    if cgroups.version("freezer") == 1:
        return cgroups.read(record.cgroup_path, "freezer", "freezer.state").strip() in ("FROZEN", "FREEZING")
    return cgroups.read(record.cgroup_path, "freezer", "cgroup.freeze").strip() == "1"


def open_process(record: Record) -> int:
    """A pidfd of the container's first process. Raises `Conflict` when it has ended."""
    try:
        pidfd = process.pidfd_open(record.pid)
    except (OSError, ValueError):
        raise Conflict("container not running") from None
    if not alive(record):  # the number may have been given to another process before it was opened
        os.close(pidfd)
        raise Conflict("container not running")
    return pidfd


def state(record: Record, status: str) -> dict[str, object]:
    """The specification's state, and what runc adds to it."""
    found: dict[str, object] = {"ociVersion": OCI_VERSION, "id": record.id}
    found["pid"] = 0 if status == STOPPED else record.pid
    found |= {"status": status, "bundle": record.bundle, "rootfs": record.rootfs, "created": record.created}
    if record.annotations:
        found["annotations"] = dict(record.annotations)
    return found


def now() -> str:
    """RFC 3339 with nanoseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09}Z"


def read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, _BLOCK):
            chunks.append(chunk)
        return b"".join(chunks)
    except OSError as error:  # it is a directory, say
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def write(path: str, data: bytes) -> None:
    """Appears whole under its name."""
    directory, _, name = path.rpartition("/")
    temporary = f"{directory or '.'}/.{name}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)
