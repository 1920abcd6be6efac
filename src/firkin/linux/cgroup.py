"""Control groups, version 1, version 2 and hybrids of the two, behind one class: their life.

Callers hand over `(controller, file, value)` settings, so that this file holds no policy. The invariant: when `create`
returns, every limit is in force and the group is empty; a process joins by writing `0` to each of `join_files`, which needs
no lock in the kernel when a single-threaded process moves itself (a move by another process costs a grace period of about
10 ms on version 1).

Source: Linux Documentation/admin-guide/cgroup-v1/*.rst and cgroup-v2.rst, cgroups(7).
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # without its enumerations
import errno
import os
import time

from firkin.linux import cgroup_bpf, cgroup_freezer, cgroup_tree
from firkin.linux.cgroup_files import write
from firkin.linux.cgroup_hierarchies import Hierarchies


class Cgroups(Hierarchies):
    """Makes, changes and removes groups in them."""

    def __init__(self, v1: dict[str, str], v2: str, v2_controllers: frozenset[str]) -> None:
        super().__init__(v1, v2, v2_controllers)
        self._ready: set[str] = set()  # parents whose children inherit controllers
        self._denied: dict[str, dict[str, OSError]] = {}  # parent -> controller -> why its children cannot have it

    def create(
        self,
        path: str,
        settings: list[tuple[str, str, str]],
        devices: list[tuple[bool, str, int, int, str]],
    ) -> list[str]:
        """Make the group in every hierarchy and apply `settings` and device rules, in order; returns what `apply` does.

        `devices`: (allow, "a"|"b"|"c", major, minor, "rwm" subset), -1 for any number; the last match decides.
        Raises OSError naming the control file; nothing is left behind then.
        """
        try:
            self._prepare_parents(os.path.dirname(path))
            self._refuse_denied(os.path.dirname(path), settings)
            for directory in self._directories(path, settings):
                self._make(directory, os.path.dirname(path))
            self._fill_cpuset(path)
            return self.adopt(path, settings, devices)
        except BaseException:
            self.remove(path)
            raise

    def complete(
        self, path: str, settings: list[tuple[str, str, str]], devices: list[tuple[bool, str, int, int, str]]
    ) -> list[str]:
        """As `create`, for a group that a service manager has made in the hierarchies it cares for: the rest is made. What
        it has not handed down is among the missing files."""
        self._prepare_parents(os.path.dirname(path))
        for directory in self._directories(path, settings):
            os.makedirs(directory, 0o755, exist_ok=True)
        self._fill_cpuset(path)
        return self.adopt(path, settings, devices)

    def adopt(
        self, path: str, settings: list[tuple[str, str, str]], devices: list[tuple[bool, str, int, int, str]]
    ) -> list[str]:
        """As `create`, for a group that is there."""
        missing = self.apply(path, settings)
        self._allow_devices(path, devices)
        return missing

    def apply(self, path: str, settings: list[tuple[str, str, str]]) -> list[str]:
        """Write settings to a group that exists (also while it is populated: `docker update`).

        Returns the control files that this kernel does not have; any other failure raises OSError naming the file.
        """
        missing = []
        for controller, name, value in settings:
            try:
                write(self.file(path, controller, name), value)
            except FileNotFoundError:
                missing.append(name)
        return missing

    def remove(self, path: str, patience: float = 2.0) -> None:
        """Remove the group and any groups its processes made below it; missing is fine.

        Waits up to `patience` seconds for killed processes to be gone (EBUSY), then raises.
        """
        deadline = time.monotonic() + patience
        for directory in self._directories(path):
            cgroup_tree.remove(directory, deadline)

    def remove_empty(self, path: str) -> None:
        """Remove the group where nothing is in it, neither processes nor groups."""
        for directory in self._directories(path):
            try:
                os.rmdir(directory)
            except OSError:
                pass

    # --- processes -----------------------------------------------------------------------------------------------
    def freeze(self, path: str) -> None:
        """Every process of the group stands still when this returns. Raises OSError."""
        self._freezer(path, True)

    def thaw(self, path: str) -> None:
        self._freezer(path, False)

    def kill(self, path: str) -> None:
        """SIGKILL to every process in the group; returns before they are gone."""
        if self.unified and os.path.exists(self._v2 + path + "/cgroup.kill"):
            write(self._v2 + path + "/cgroup.kill", "1")
            return
        for pid in self.processes(path):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    # --- inside --------------------------------------------------------------------------------------------------
    def _make(self, directory: str, parent: str) -> None:
        try:
            os.mkdir(directory, 0o755)
        except FileNotFoundError:  # another engine ended, and took the parent that was empty until now along
            self._ready.discard(parent)
            self._prepare_parents(parent)
            os.mkdir(directory, 0o755)

    def _prepare_parents(self, parent: str) -> None:
        """Make the parent groups once and let their children inherit what they need to be usable."""
        if parent in self._ready:
            return
        for root in dict.fromkeys(self._v1.values()) if parent.strip("/") else ():
            os.makedirs(root + parent, exist_ok=True)
        if "cpuset" in self._v1:
            cgroup_tree.inherit_cpuset(self._v1["cpuset"], parent)
        if self.unified:
            self._denied[parent] = cgroup_tree.hand_down(self._v2, parent, self._v2_controllers)
        elif self._v2:
            os.makedirs(self._v2 + parent, exist_ok=True)
        if not self._denied.get(parent):
            self._ready.add(parent)

    def _fill_cpuset(self, path: str) -> None:
        if "cpuset" in self._v1 and path.rfind("/") == 0:
            cgroup_tree.fill_cpuset(self._v1["cpuset"], path)

    def _refuse_denied(self, parent: str, settings: list[tuple[str, str, str]]) -> None:
        """A limit is not dropped because somebody stands in its way."""
        denied = self._denied.get(parent, {})
        for controller, _, _ in settings:
            if controller in denied:
                raise denied[controller]

    def _allow_devices(self, path: str, rules: list[tuple[bool, str, int, int, str]]) -> None:
        if self.version("devices") == 2:
            if rules:
                cgroup_bpf.attach_device_program(self._v2 + path, rules)
            return
        if not self.version("devices") or not rules:
            return
        if not path.strip("/"):  # the kernel allows it while there is no other group, and then it is the host that is limited
            raise OSError(errno.EINVAL, "the root of a hierarchy cannot be limited", self.file(path, "devices", "devices.deny"))
        for allow, kind, major, minor, access in rules:
            numbers = ":".join("*" if n < 0 else str(n) for n in (major, minor))
            write(self.file(path, "devices", "devices.allow" if allow else "devices.deny"), f"{kind} {numbers} {access}")

    def _freezer(self, path: str, frozen: bool) -> None:
        if not self.version("freezer"):
            raise OSError(errno.ENODEV, "there is no group to freeze", path)
        first = self.version("freezer") == 1
        change = cgroup_freezer.change_v1 if first else cgroup_freezer.change_v2
        change(os.path.dirname(self.file(path, "freezer", "freezer.state")), frozen)
