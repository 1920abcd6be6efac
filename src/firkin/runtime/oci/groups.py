"""A container's cgroup: where `linux.cgroupsPath` lies, its limits, and refusing what this kernel cannot limit.

Source: runtime-spec config-linux.md "Cgroups Path"; runc libcontainer/cgroups/fs (a relative path is below the caller's own
group; fs2: beside it), libcontainer/specconv (device rules of every container).
"""

from __future__ import annotations

import errno
import os

from firkin.errors import Invalid, Unsupported
from firkin.linux.cgroup import Cgroups
from firkin.oci.runtime_resources import DeviceRule, Resources
from firkin.runtime import defaults
from firkin.runtime.cgroup_settings import cgroup_settings, device_rules
from firkin.runtime.cgroup_support import lacking, unconvertible
from firkin.runtime.oci import late
from firkin.runtime.oci.record import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Config
    from firkin.runtime.cgroup_settings import DeviceRule as Rule
    from firkin.runtime.cgroup_settings import Setting
    from firkin.runtime.oci.hold import Hold

# Field of `linux.resources` -> a controller that has it.
_CONTROLLERS = {"memory": "memory", "cpu": "cpu", "pids": "pids", "block_io": "blkio", "hugepage_limits": "hugetlb"}
_WORDS = {"block_io": "blockIO", "hugepage_limits": "hugepageLimits"}
_FIELDS = {"hugetlb": "hugepageLimits", "blkio": "blockIO", "io": "blockIO", "cpuset": "cpu"}  # by the control file
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NEEDED = (DeviceRule(False, access="rwm"),)


class Place:
    """The hierarchies, and the group's path below each; `named`: by the configuration. Of one that is to be a unit of
    systemd's (see `scopes`), `unit` is the name, and `hold` is where the child waits for it."""

    unit = ""
    hold: Hold | None = None

    def __init__(self, cgroups: Cgroups, path: str, named: bool) -> None:
        self.cgroups, self.path, self.named = cgroups, path, named
        self.existed = cgroups.exists(path)

    def make(self, resources: Resources, *, optional: bool = False) -> None:
        """With every limit in force. Nothing is left behind when that fails. `optional`: where it may not be made, there is
        none, unless the configuration has named it or set a limit."""
        settings = wanted(self.cgroups, resources)
        try:
            self._make(settings, resources)
        except OSError as error:
            if not optional or error.errno not in _FORBIDDEN or self.named:
                raise
            if settings:
                raise Unsupported(f"cannot set {settings[0][0]} limit: container could not join/create cgroup") from None
            self.cgroups = Cgroups({}, "", frozenset())

    def _make(self, settings: list[Setting], resources: Resources) -> None:
        rules = rules_of(resources)
        if self.existed:
            missing = self.cgroups.adopt(self.path, settings, rules)
        else:
            missing = self.cgroups.create(self.path, settings, rules)
        try:
            refuse_missing(missing, settings)
        except Unsupported:
            self.give_back()
            raise

    def join_files(self) -> list[str]:
        return self.cgroups.join_files(self.path)

    def admit(self, pid: int) -> None:
        """The container's first process is there. It joins by itself, as one of its steps."""

    def release(self) -> None:
        """The record says where it is: it may go on, if it was held."""

    def give_back(self) -> None:
        if not self.existed:
            self.remove()

    def remove(self) -> None:
        """Whoever made it: nobody is in it any more."""
        self.cgroups.remove(self.path)


def place(config: Config, name: str, systemd: bool) -> Place:
    """Of the container called `name`."""
    path = config.linux.cgroups_path
    if systemd:
        scope: Place = late.module("oci.scopes").place(config, name)
        return scope
    if ".." in path.split("/"):
        raise Invalid(f"linux.cgroupsPath: {path!r} leads out of its hierarchy")
    cgroups = Cgroups.detect()
    if path.startswith("/"):
        return Place(cgroups, "/" + path.strip("/"), named=True)
    below, own = "/" + (path or name).strip("/"), _own_groups()
    if cgroups.unified:
        # Beside our own group: as long as we are in that, it can give no controllers to groups below it.
        return Place(cgroups, os.path.dirname(own[""]).rstrip("/") + below, bool(path))
    return Place(cgroups.below(own), below, bool(path))


def _own_groups() -> dict[str, str]:
    """Controller ("" for version 2) -> this process's own group; cgroups(7)."""
    found = {}
    for line in read("/proc/self/cgroup").decode().splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def rules_of(resources: Resources) -> list[Rule]:
    """What devices a container may use: those of the configuration, and what no container does without."""
    return device_rules(resources.replace(devices=(*_NEEDED, *resources.devices, *defaults.RUNTIME_DEVICE_RULES)))


def wanted(cgroups: Cgroups, resources: Resources, present_swap: int = -1, used: int = 0) -> list[Setting]:
    """The writes for `resources`. Raises `Unsupported` for a limit that no controller here can set."""
    for field, controller in _CONTROLLERS.items():
        there = cgroups.version(controller) or (field == "block_io" and cgroups.version("io"))
        if getattr(resources, field) and not there:
            word = _WORDS.get(field, field)
            raise Unsupported(f"linux.resources.{word}: this kernel has no {controller} controller to set it with")
    if field := next(unconvertible(resources, cgroups.version), ""):
        raise Unsupported(f"linux.resources.{field}: this machine's cgroups have nothing to set it with")
    return cgroup_settings(resources, cgroups.version, present_swap, used)


def refuse_missing(missing: list[str], settings: list[Setting]) -> None:
    """`missing`: the control files of `settings` that are not there."""
    if name := lacking(missing, settings):
        prefix = name.partition(".")[0]
        raise Unsupported(f"linux.resources.{_FIELDS.get(prefix, prefix)}: this kernel has no {name}")
