"""`--systemd-cgroup`: a container's group as a transient unit, a scope, of systemd's.

systemd makes the group around a process, so the child is born first and held until it is there; then it has every limit in
force before its next step. `cgroupsPath` is "slice:prefix:name". The invariant: a unit that was there before is never touched.
Source: runc docs/systemd.md; systemd.slice(5), systemd.scope(5); systemd docs/CGROUP_DELEGATION.md.
"""

from __future__ import annotations

import os

from firkin.errors import Internal, Invalid, Unsupported
from firkin.linux import systemd
from firkin.linux.cgroup import Cgroups
from firkin.linux.cgroup_files import mounts
from firkin.linux.cgroup_files import read as read_file
from firkin.linux.sdbus import BusError
from firkin.runtime.oci import groups, unit_annotations, unit_devices, unit_properties
from firkin.runtime.oci.hold import Hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.linux.systemd import Manager, Property
    from firkin.oci.runtime_config import Config
    from firkin.oci.runtime_resources import Resources
    from firkin.runtime.cgroup_settings import DeviceRule, Setting

_SUFFIX = ".slice"
_SIGKILL = 9
_ACCOUNTS = ("MemoryAccounting", "CPUAccounting", "TasksAccounting")


class Scope(groups.Place):
    """See `groups.Place`. `properties`: what systemd is to know of it beside its limits."""

    hold: Hold

    def __init__(self, manager: Manager, cgroups: Cgroups, path: str, properties: list[Property]) -> None:
        super().__init__(cgroups, path, named=True)
        self.unit = path.rpartition("/")[2]
        self.hold = Hold()
        self._manager, self._properties = manager, properties
        self._settings: list[Setting] = []
        self._rules: list[DeviceRule] = []

    def make(self, resources: Resources, *, optional: bool = False) -> None:
        """Only what can be decided without a process. It was asked for, and is not `optional`."""
        self._settings, self._rules = groups.wanted(self.cgroups, resources), groups.rules_of(resources)

    def join_files(self) -> list[str]:
        """systemd puts the child into version 2's group, and into those of version 1 that it has a use for."""
        if self.cgroups.unified:
            return []
        return self.cgroups.join_files_to_be(self.path, self._settings)

    def admit(self, pid: int) -> None:
        """Make the unit around it. Nothing is left when that fails."""
        limits = unit_properties.of_settings(self._settings)
        if not self.cgroups.unified:
            limits += unit_devices.of_rules(self._rules)
        try:
            self._manager.start_scope(self.unit, [("PIDs", ("au", [pid])), *limits, *self._properties])
        except BusError as error:
            raise Internal(f"linux.cgroupsPath: systemd does not start {self.unit}: {error.name}: {error.text}") from None
        try:
            _check_membership(pid, self.path)
            groups.refuse_missing(self.cgroups.complete(self.path, self._settings, self._rules), self._settings)
        except BaseException:
            os.kill(pid, _SIGKILL)  # as the first of a pid namespace it takes no other signal, and systemd would try one first
            self.give_back()
            raise

    def release(self) -> None:
        self.hold.release()

    def give_back(self) -> None:
        self.remove()

    def remove(self) -> None:
        self._manager.stop(self.unit)
        self.cgroups.remove(self.path)


def place(config: Config, name: str) -> Scope:
    """Of the container called `name`. Raises `Unsupported` where there is no systemd to ask."""
    if not systemd.booted():
        raise Unsupported("linux.cgroupsPath: systemd not running on this host, cannot use systemd cgroups manager")
    slice_, unit = _names(config.linux.cgroups_path, name)
    below = f"{group_of_slice(slice_)}/{unit}"
    annotated = unit_annotations.properties(config.annotations)
    manager = systemd.Manager.connect()
    above = manager.control_group()
    cgroups = _hierarchies(above)
    return Scope(manager, cgroups, above + below, [*_properties(name, slice_, cgroups.unified), *annotated])


def update(unit: str, settings: list[Setting]) -> None:
    """What systemd is to know of new limits; the files are the caller's."""
    if properties := unit_properties.of_settings(settings):
        with systemd.Manager.connect() as manager:
            manager.set_properties(unit, properties)


def hold() -> Hold | None:
    """For one more process, if it may not join the group by itself."""
    return None if systemd.privileged() else Hold()


def attach(unit: str, pid: int) -> None:
    with systemd.Manager.connect() as manager:
        manager.attach(unit, pid)


def stop(unit: str) -> None:
    with systemd.Manager.connect() as manager:
        manager.stop(unit)


def _properties(name: str, slice_: str, unified: bool) -> list[Property]:
    accounts = (*_ACCOUNTS, "IOAccounting" if unified else "BlockIOAccounting")
    return [
        ("Description", ("s", f"firkin-oci container {name}")),
        ("Slice", ("s", slice_)),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),  # if one fails whose command was killed, nobody would clear it away
        *((account, ("b", True)) for account in accounts),
    ]


def _names(path: str, name: str) -> tuple[str, str]:
    """(slice, unit)"""
    usual = "system.slice" if systemd.privileged() else "user.slice"
    if not path:
        return usual, f"firkin-{name}.scope"
    parts = path.split(":")
    if len(parts) != 3 or "/" in path or not parts[2] or parts[2].endswith(_SUFFIX):
        raise Invalid(f'linux.cgroupsPath: want "slice:prefix:name" for systemd, and a name that is no slice\'s, got {path!r}')
    slice_, prefix, own = parts
    return slice_ or usual, f"{prefix}-{own}.scope"


def group_of_slice(slice_: str) -> str:
    """Where a slice's group lies: "/a.slice/a-b.slice" of "a-b.slice", "" of the root's, "-.slice"."""
    stem = slice_.removesuffix(_SUFFIX)
    parts = stem.split("-")
    if stem == "-" and slice_ != stem:
        return ""
    if stem == slice_ or not all(parts):
        raise Invalid(f"linux.cgroupsPath: {slice_!r} is no name of a slice")
    return "".join(f"/{'-'.join(parts[: depth + 1])}{_SUFFIX}" for depth in range(len(parts)))


def _hierarchies(above: str) -> Cgroups:
    """Those of the machine, with the controllers that are handed down to the group of the manager, `above`."""
    v1, v2 = mounts(read_file("/proc/self/mountinfo"), systemd.HIERARCHY)
    if v1 and not systemd.privileged():
        raise Unsupported("linux.cgroupsPath: with cgroup version 1, systemd makes groups for root only")
    controllers = read_file(f"{v2}{above}/cgroup.controllers").split() if v2 else ()
    return Cgroups(v1, v2, frozenset(controllers))


def _check_membership(pid: int, path: str) -> None:
    """Before limits are set on the group that we take to be the unit's."""
    lines = read_file(f"/proc/{pid}/cgroup").splitlines()
    if not any(line.endswith((f":{systemd.HIERARCHY}:{path}", f"0::{path}")) for line in lines):
        raise Internal(f"linux.cgroupsPath: systemd has not put the container into {path}: {'; '.join(lines)}")
