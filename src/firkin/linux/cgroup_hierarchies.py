"""The hierarchies of control groups that a machine has, version 1, version 2 or both, and what their files say of a group.

A group is named by one path (`/firkin/ID`) that exists in every hierarchy in use. What a limit is called differs between the
versions; callers ask `version(controller)`. Nothing here changes anything: that is `cgroup`'s.

Source: Linux Documentation/admin-guide/cgroup-v1/*.rst and cgroup-v2.rst, cgroups(7).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import process
from firkin.linux.cgroup_files import V1_ON_DEMAND, mounts, offers, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Hierarchies:
    """As they were when this was made."""

    def __init__(self, v1: dict[str, str], v2: str, v2_controllers: frozenset[str]) -> None:
        self._v1 = v1
        self._v2 = v2
        self._v2_controllers = v2_controllers
        # Device rules are for root of the machine; root of a user namespace can make no devices to be kept from.
        unprivileged = process.in_user_namespace() or os.geteuid()
        self._own = ("freezer", "cpuacct") if unprivileged else ("devices", "freezer", "cpuacct")

    @classmethod
    def detect(cls) -> Self:
        """What /proc/self/mountinfo shows; never mounts anything. In a user namespace, only what was delegated to it."""
        v1, v2 = mounts(read("/proc/self/mountinfo"))
        if process.in_user_namespace():
            v1 = {name: root for name, root in v1.items() if os.access(root, os.W_OK) and name != "devices"}
            v2 = v2 if v2 and all(os.access(v2 + name, os.W_OK) for name in ("", "/cgroup.subtree_control")) else ""
        available = frozenset(read(v2 + "/cgroup.controllers").split()) if v2 else frozenset()
        return cls(v1, v2, available)

    def below(self, groups: dict[str, str]) -> Self:
        """The same hierarchies, seen from a group of each: controller ("" for version 2) -> path."""
        v1 = {controller: root + groups.get(controller, "").rstrip("/") for controller, root in self._v1.items()}
        return type(self)(v1, self._v2 and self._v2 + groups.get("", "").rstrip("/"), self._v2_controllers)

    @property
    def roots(self) -> tuple[dict[str, str], str, frozenset[str]]:
        """What another object of the same hierarchies is made from."""
        return self._v1, self._v2, self._v2_controllers

    @property
    def any(self) -> bool:
        """Whether there is a hierarchy at all in which groups may be made."""
        return bool(self._v1 or self._v2)

    @property
    def unified(self) -> bool:
        """Whether this is a pure version 2 machine."""
        return bool(self._v2) and not self._v1

    @property
    def controllers(self) -> frozenset[str]:
        """Those of version 2, with files of their own in a group."""
        return self._v2_controllers

    def version(self, controller: str) -> int:
        """1 or 2: the version whose files limit `controller` here; 0 when this kernel has it in neither."""
        if controller in self._v1:
            return 1
        if controller in self._v2_controllers or (self.unified and controller in self._own):
            return 2
        return 0

    def file(self, path: str, controller: str, name: str) -> str:
        """Absolute path of a control file of the group."""
        return self._root(controller) + path + "/" + name

    def offers(self, controller: str, names: tuple[str, ...]) -> bool:
        """Whether groups have one of these control files here."""
        return any(offers(self._root(controller), controller, name) for name in names)

    def exists(self, path: str) -> bool:
        return any(os.path.isdir(directory) for directory in self._directories(path))

    def join_files(self, path: str) -> list[str]:
        """Files into which a single-threaded process writes `0` to move itself into the group.

        Version 1 has `tasks` beside `cgroup.procs`: a thread that moves only itself spares the kernel's 10 ms wait."""
        v1 = [f"{root}{path}/tasks" for root in dict.fromkeys(self._v1.values())]
        v2 = [f"{self._v2}{path}/cgroup.procs"] if self._v2 else []
        return [file for file in v1 + v2 if os.path.exists(file)]

    def join_files_to_be(self, path: str, settings: list[tuple[str, str, str]]) -> list[str]:
        """The same, of a group that is yet to be made for `settings`."""
        v2 = self._v2 + path
        return [f"{one}/{'cgroup.procs' if one == v2 else 'tasks'}" for one in self._directories(path, settings)]

    def join_files_of(self, path: str, controller: str) -> list[str]:
        """The same for the one hierarchy that has `controller`; none if the group is not there."""
        file = self.file(path, controller, "tasks" if controller in self._v1 else "cgroup.procs")
        return [file] if os.path.exists(file) else []

    def open_group(self, path: str) -> int:
        """A descriptor of the version 2 group for a child to be born in: that spares the kernel's 10 ms, which a process
        cannot spare itself in version 2, and leaves no moment outside the limits. The caller closes it."""
        return os.open(self._v2 + path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def leaf(self, path: str, pid: int) -> str:
        """Where one more process joins the container of `pid`. That is its group, unless its processes have divided that
        into groups below with limits of their own: then no process may stand in it, and `pid` is in one of those."""
        if self.unified and read(f"{self._v2}{path}/cgroup.subtree_control").strip():
            for line in read(f"/proc/{pid}/cgroup").splitlines():
                if line.startswith(f"0::{path}/"):
                    return line[3:]
        return path

    # --- what a group has and is ---------------------------------------------------------------------------------
    def processes(self, path: str) -> list[int]:
        """Every pid in the group and below it, as this process's pid namespace numbers them."""
        found: list[int] = []
        for directory, _, _ in os.walk(self._primary(path)) if self.any else ():
            try:
                found += [int(pid) for pid in read(directory + "/cgroup.procs").split()]
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    raise
        return [pid for pid in found if pid]

    def read(self, path: str, controller: str, name: str) -> str:
        """Contents of a control file, or "" when this kernel does not have it."""
        if not self.version(controller):
            return ""
        try:
            return read(self.file(path, controller, name))
        except OSError:
            return ""

    def table(self, path: str, controller: str, name: str) -> dict[str, int]:
        """A `key value` file (memory.stat, cpu.stat) as numbers; empty when missing."""
        rows = (line.split() for line in self.read(path, controller, name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}

    def files(self, path: str, controller: str) -> list[str]:
        """Names of the control files in the group's directory, sorted; none when it is not there."""
        try:
            return sorted(os.listdir(self._root(controller) + path)) if self.version(controller) else []
        except FileNotFoundError:
            return []

    def oom_kills(self, path: str) -> int:
        """How many processes of the group the kernel's OOM killer has ended."""
        name = "memory.oom_control" if self.version("memory") == 1 else "memory.events"
        return self.table(path, "memory", name).get("oom_kill", 0)

    # --- inside --------------------------------------------------------------------------------------------------
    def _root(self, controller: str) -> str:
        return self._v1.get(controller) or self._v2

    def _primary(self, path: str) -> str:
        return self._root("pids" if "pids" in self._v1 else "memory") + path

    def _directories(self, path: str, settings: list[tuple[str, str, str]] | None = None) -> list[str]:
        """The group's directory in each hierarchy; co-mounted controllers share one. In a hybrid, the version 2
        hierarchy is joined only for a controller that exists there alone (and always looked into for removal)."""
        limited = {controller for controller, _, _ in settings or ()}
        joined = [one for one in self._v1 if settings is None or one not in V1_ON_DEMAND or one in limited]
        roots = dict.fromkeys(self._v1[one] for one in joined)
        wanted = settings is None or any(controller not in self._v1 for controller, _, _ in settings)
        if self._v2 and (self.unified or wanted):
            roots[self._v2] = None
        return [root + path for root in roots]
