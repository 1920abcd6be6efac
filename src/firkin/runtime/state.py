"""What the steps of one plan hand to each other between clone and execve.

The invariant: `root` is the container's root directory whatever the working directory and the mounts around it are;
`proc` and the null device are the host's own, opened before anything of the container could stand in their place.
"""

from __future__ import annotations

import errno
import marshal
import os

from firkin.linux import fds, fs, null, process
from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink

_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def number_of(plan: dict[str, object], key: str) -> int:
    value = plan[key]
    if not isinstance(value, int):
        raise TypeError(f"plan: {key} is {value!r}")
    return value


def steps_of(plan: dict[str, object], side: str) -> list[tuple[object, ...]]:
    """The plan's "parent" or "child" steps."""
    steps = plan[side]
    if not isinstance(steps, list):
        raise TypeError(f"plan: {side} is {steps!r}")
    return steps


def explain(error: BaseException) -> str:
    """What the error was about, or the kernel's own explanation where it gave one."""
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    if isinstance(error.filename, str):
        return error.filename
    return error.strerror or "" if error.strerror != os.strerror(error.errno or 0) else ""


class State:
    """One child's. Ids are None until a step has looked them up."""

    def __init__(self, handed: dict[str, int], status: socket.socket, own_users: bool) -> None:
        self.handed = handed  # name to descriptor
        self.status = status
        self.own_users = own_users  # in a user namespace other than the launcher's
        self.shared_root = False  # the namespace's mounts have peers on the host
        self.root = self.proc = self.null = self.staging = -1
        self.covers: dict[bool, int] = {}  # what hides a directory (True), what hides another file
        self.directory: tuple[str, int] | None = None  # see `directory_of`
        self.uid: int | None = None
        self.gid: int | None = None
        self.groups: list[int] | None = []  # None: left as they are
        self.home = ""  # for $HOME; "" leaves it alone
        self.umask = 0o022
        self.netlink: Netlink | None = None
        self.host_netlink: Netlink | None = None  # the launcher's
        self.open_host_files()

    def open_host_files(self) -> None:
        """Also after a change of mount namespace: a mount can be copied only within its own."""
        self.root = os.open("/", _OPEN_DIRECTORY)
        self.proc = os.open("/proc", _OPEN_DIRECTORY)
        self.null = null.open_node()
        if fs.filesystem_type(self.proc) != fs.PROC_SUPER_MAGIC:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), "/proc")

    def enter_root(self, root: int) -> None:
        """`root` is where everything is looked up from now on."""
        self._forget_directory()
        os.close(self.root)
        self.root = root

    def directory_of(self, path: str) -> tuple[int, str]:
        """(descriptor of the directory in the root that is to hold `path`, made if missing; last name of `path`). It is
        kept open for the next step, which is often about the same one."""
        above, _, name = path.rstrip("/").rpartition("/")
        if not self.directory or self.directory[0] != above:
            self._forget_directory()
            self.directory = above, fs.make_in_root(self.root, above or "/", "dir")
        return self.directory[1], name

    def place(self, path: str, create: str = "") -> int:
        """Open what something is to be mounted on; `create` as `fs.make_in_root` has it, "" if it must be there. The
        mount may hide the directory that is kept: it is looked up again afterwards."""
        self._forget_directory()
        return fs.make_in_root(self.root, path, create) if create else fs.in_root(self.root, path)

    def _forget_directory(self) -> None:
        if self.directory:
            os.close(self.directory[1])
            self.directory = None

    def become_root_user(self) -> None:
        """In a new user namespace nothing can be owned by the ids this process came with."""
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        process.set_dumpable(False)  # it may be on again with the new ids

    def send(self, kind: str | tuple[object, ...], descriptors: list[int]) -> None:
        """Hand the launcher duplicates of `descriptors`; `kind` says what they are (see `spawn.Outcome`)."""
        fds.send_fds(self.status, marshal.dumps(kind), descriptors)  # type: ignore[arg-type]

    def write_proc(self, path: str, text: str) -> None:
        """Write a file of the host's /proc, which shows this process's namespaces but is out of their reach."""
        resolve = fs.RESOLVE_BENEATH | fs.RESOLVE_NO_MAGICLINKS | fs.RESOLVE_NO_XDEV
        fd = fs.openat2(self.proc, path, os.O_WRONLY, resolve=resolve)
        try:
            os.write(fd, text.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        finally:
            os.close(fd)
