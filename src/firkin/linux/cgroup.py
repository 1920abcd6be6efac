"""Control groups, version 1, version 2 and hybrids of the two, behind one class.

A group is named by one path (`/firkin/ID`) that exists in every hierarchy in use. What a limit is called differs
between the versions; callers ask `version(controller)` and hand over `(controller, file, value)` settings, so that
this file holds no policy. The invariant: when `create` returns, every limit is in force and the group is empty; a
process joins by writing `0` to each of `join_files`, which needs no lock in the kernel when a single-threaded process
moves itself (a move by another process costs a grace period of about 10 ms on version 1).

Source: Linux Documentation/admin-guide/cgroup-v1/*.rst and cgroup-v2.rst, cgroups(7).
"""

from __future__ import annotations

import errno
import os
import signal
import time

from firkin.linux import cgroup_bpf

# Version 1 hierarchies that every container joins; others (net_cls, perf_event, name=systemd) are left alone.
V1_CONTROLLERS = ("cpuset", "cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "hugetlb")
V2_DELEGATED = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")


def _mounts(mountinfo: str) -> tuple[dict[str, str], str]:
    """Version 1 controller -> mount point, and the version 2 mount point ("" when there is none)."""
    v1: dict[str, str] = {}
    v2 = ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            v2 = v2 or before.split(" ")[4]
        elif kind == "cgroup":
            for option in options.split(" ")[-1].split(","):
                if option in V1_CONTROLLERS:
                    v1.setdefault(option, before.split(" ")[4])
    return v1, v2


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks).decode()
    finally:
        os.close(fd)


class Cgroups:
    """The hierarchies of this machine as they were when the engine started."""

    def __init__(self, v1: dict[str, str], v2: str, v2_controllers: frozenset[str]) -> None:
        self._v1 = v1
        self._v2 = v2
        self._v2_controllers = v2_controllers
        self._ready: set[str] = set()  # parents whose children inherit controllers

    @classmethod
    def detect(cls) -> Cgroups:
        """What /proc/self/mountinfo shows; never mounts anything."""
        v1, v2 = _mounts(_read("/proc/self/mountinfo"))
        available = frozenset(_read(v2 + "/cgroup.controllers").split()) if v2 else frozenset()
        return cls(v1, v2, available)

    @property
    def unified(self) -> bool:
        """Whether this is a pure version 2 machine."""
        return bool(self._v2) and not self._v1

    def version(self, controller: str) -> int:
        """1 or 2: the version whose files limit `controller` here; 0 when this kernel has it in neither."""
        if controller in self._v1:
            return 1
        if controller in self._v2_controllers or (self.unified and controller in ("devices", "freezer", "cpuacct")):
            return 2
        return 0

    def file(self, path: str, controller: str, name: str) -> str:
        """Absolute path of a control file of the group."""
        return self._root(controller) + path + "/" + name

    # --- life ----------------------------------------------------------------------------------------------------
    def create(
        self,
        path: str,
        settings: list[tuple[str, str, str]],
        devices: list[tuple[bool, str, int, int, str]],
    ) -> None:
        """Make the group in every hierarchy and apply `settings` and device rules, in order.

        `devices`: (allow, "a"|"b"|"c", major, minor, "rwm" subset), -1 for any number; the last match decides.
        Raises OSError naming the control file; nothing is left behind then.
        """
        try:
            self._prepare_parents(os.path.dirname(path))
            for directory in self._directories(path, settings):
                os.mkdir(directory, 0o755)
            self.apply(path, settings)
            self._allow_devices(path, devices)
        except BaseException:
            self.remove(path)
            raise

    def apply(self, path: str, settings: list[tuple[str, str, str]]) -> list[str]:
        """Write settings to a group that exists (also while it is populated: `docker update`).

        Returns the control files that this kernel does not have; any other failure raises OSError naming the file.
        """
        missing = []
        for controller, name, value in settings:
            try:
                _write(self.file(path, controller, name), value)
            except FileNotFoundError:
                missing.append(name)
        return missing

    def join_files(self, path: str) -> list[str]:
        """Files into which a single-threaded process writes `0` to move itself into the group.

        Version 1 has `tasks` beside `cgroup.procs`: a thread that moves only itself spares the kernel's 10 ms wait."""
        v1 = [f"{root}{path}/tasks" for root in dict.fromkeys(self._v1.values())]
        v2 = [f"{self._v2}{path}/cgroup.procs"] if self._v2 else []
        return [file for file in v1 + v2 if os.path.exists(file)]

    def remove(self, path: str, patience: float = 2.0) -> None:
        """Remove the group and any groups its processes made below it; missing is fine.

        Waits up to `patience` seconds for killed processes to be gone (EBUSY), then raises.
        """
        deadline = time.monotonic() + patience
        for directory in self._directories(path):
            self._remove_tree(directory, deadline)

    def exists(self, path: str) -> bool:
        return any(os.path.isdir(directory) for directory in self._directories(path))

    # --- processes -----------------------------------------------------------------------------------------------
    def processes(self, path: str) -> list[int]:
        """Every pid in the group and below it, as this process's pid namespace numbers them."""
        found: list[int] = []
        for directory, _, _ in os.walk(self._primary(path)):
            try:
                found += [int(pid) for pid in _read(directory + "/cgroup.procs").split()]
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                    raise
        return [pid for pid in found if pid]

    def freeze(self, path: str) -> None:
        self._freezer(path, True)

    def thaw(self, path: str) -> None:
        self._freezer(path, False)

    def kill(self, path: str) -> None:
        """SIGKILL to every process in the group; returns before they are gone."""
        if self.unified and os.path.exists(self._v2 + path + "/cgroup.kill"):
            _write(self._v2 + path + "/cgroup.kill", "1")
            return
        for pid in self.processes(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    # --- accounts ------------------------------------------------------------------------------------------------
    def read(self, path: str, controller: str, name: str) -> str:
        """Contents of a control file, or "" when this kernel does not have it."""
        if not self.version(controller):
            return ""
        try:
            return _read(self.file(path, controller, name))
        except OSError:
            return ""

    def table(self, path: str, controller: str, name: str) -> dict[str, int]:
        """A `key value` file (memory.stat, cpu.stat) as numbers; empty when missing."""
        rows = (line.split() for line in self.read(path, controller, name).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}

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
        roots = dict.fromkeys(self._v1.values())
        wanted = settings is None or any(controller not in self._v1 for controller, _, _ in settings)
        if self._v2 and (self.unified or wanted):
            roots[self._v2] = None
        return [root + path for root in roots]

    def _prepare_parents(self, parent: str) -> None:
        """Make the parent groups once and let their children inherit what they need to be usable."""
        if parent in self._ready:
            return
        for root in dict.fromkeys(self._v1.values()):
            os.makedirs(root + parent, exist_ok=True)
        if "cpuset" in self._v1:
            self._inherit_cpuset(self._v1["cpuset"], parent)
        if self._v2:
            self._delegate(parent)
        self._ready.add(parent)

    def _inherit_cpuset(self, root: str, parent: str) -> None:
        """A new version 1 cpuset is empty and takes no process: copy down once, then children clone."""
        above = root
        for part in parent.strip("/").split("/"):
            here = above + "/" + part
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not _read(f"{here}/{name}").strip():
                    _write(f"{here}/{name}", _read(f"{above}/{name}").strip())
            _write(here + "/cgroup.clone_children", "1")
            above = here

    def _delegate(self, parent: str) -> None:
        """Enable controllers for children down the version 2 path (one that cannot be enabled is left off)."""
        here = self._v2
        for part in ["", *parent.strip("/").split("/")]:
            here = os.path.join(here, part) if part else here
            os.makedirs(here, exist_ok=True)
            if not self.unified:
                continue
            for controller in V2_DELEGATED:
                if controller in self._v2_controllers:
                    try:
                        _write(here + "/cgroup.subtree_control", "+" + controller)
                    except OSError:
                        pass

    def _allow_devices(self, path: str, rules: list[tuple[bool, str, int, int, str]]) -> None:
        if self.version("devices") == 2:
            if rules:
                cgroup_bpf.attach_device_program(self._v2 + path, rules)
            return
        if not self.version("devices"):
            return
        for allow, kind, major, minor, access in rules:
            numbers = ":".join("*" if n < 0 else str(n) for n in (major, minor))
            _write(self.file(path, "devices", "devices.allow" if allow else "devices.deny"), f"{kind} {numbers} {access}")

    def _freezer(self, path: str, frozen: bool) -> None:
        if self.version("freezer") == 2:
            _write(self._v2 + path + "/cgroup.freeze", str(int(frozen)))
            self._await_freeze(path, frozen)
            return
        state = self.file(path, "freezer", "freezer.state")
        want = "FROZEN" if frozen else "THAWED"
        for _ in range(1000):
            _write(state, want)
            if _read(state).strip() == want:
                return
            time.sleep(0.001)
        raise OSError(errno.EBUSY, f"group does not become {want}", state)

    def _await_freeze(self, path: str, frozen: bool) -> None:
        for _ in range(1000):
            if self.table(path, "freezer", "cgroup.events").get("frozen") == int(frozen):
                return
            time.sleep(0.001)
        raise OSError(errno.EBUSY, "group does not change its freezer state", path)

    def _remove_tree(self, directory: str, deadline: float) -> None:
        while True:
            try:
                os.rmdir(directory)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
            self._remove_children(directory, deadline)

    def _remove_children(self, directory: str, deadline: float) -> None:
        children = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
        for child in children:
            self._remove_tree(child, deadline)
        if not children:
            time.sleep(0.002)
