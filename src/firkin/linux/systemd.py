"""systemd's manager of units: the machine's, or for others than root of the machine the user's own.

The invariant: when `start_scope` returns, the unit is active and the processes are in its group; when `stop` returns, there
is no such unit. Source: org.freedesktop.systemd1(5), systemd.scope(5), sd_booted(3).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import process
from firkin.linux.sdbus import Bus, BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    Property = tuple[str, tuple[str, object]]  # name, (signature, value)

HIERARCHY = "name=systemd"
"""The version 1 hierarchy, without a controller, in which systemd keeps account of units."""
_SYSTEMD, _PATH, _MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
_NO_SUCH_UNIT, _UNIT_EXISTS = _SYSTEMD + ".NoSuchUnit", _SYSTEMD + ".UnitExists"
_PATIENCE = 60.0  # seconds; usually it takes milliseconds, but at boot there is much else to do


def booted() -> bool:
    """Whether systemd is this machine's init."""
    return os.path.isdir("/run/systemd/system")


def privileged() -> bool:
    """Whether the machine's own manager is the one to ask: it obeys root of the machine only."""
    return os.geteuid() == 0 and not process.in_user_namespace()


class Manager:
    """A connection to it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        bus.listen(_MANAGER, "JobRemoved")

    @classmethod
    def connect(cls) -> Self:
        """To its private socket, which spares a detour through the bus, or through that. OSError if there is neither."""
        failure = OSError(errno.ENOENT, "neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set", "user session")
        for address, direct in _addresses():
            try:
                return cls(Bus(address, direct=direct, patience=_PATIENCE))
            except OSError as error:
                failure = error
        raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bus.close()

    def control_group(self) -> str:
        """The path of the manager's own group, which those of its units are below; "" for the machine's."""
        names = [_MANAGER, "ControlGroup"]
        (answer,) = self._bus.call(_SYSTEMD, _PATH, "org.freedesktop.DBus.Properties", "Get", "ss", names)
        return str(answer[1])  # type: ignore[index]

    def start_scope(self, unit: str, properties: Iterable[Property]) -> None:
        """`properties` name the processes that it begins with. OSError if it is not done, `BusError` if systemd says why.
        What is left of a failed unit of this name is cleared away; one that is active is an error."""
        wanted: list[object] = [unit, "replace", list(properties), []]
        try:
            job = self._start(wanted)
        except BusError as error:
            if error.name != _UNIT_EXISTS:
                raise
            self._forget(unit)
            job = self._start(wanted)
        if (result := self._result(job)) != "done":
            self._forget(unit)
            raise OSError(errno.EIO, f"its job is not done but {result}", f"start {unit}")

    def stop(self, unit: str) -> None:
        """One that is not there is fine: a scope goes with its last process."""
        try:
            self._result(self._call("StopUnit", "ss", unit, "replace")[0])
        except BusError as error:
            if error.name != _NO_SUCH_UNIT:
                raise
        self._forget(unit)

    def set_properties(self, unit: str, properties: Iterable[Property]) -> None:
        """Until the unit ends."""
        self._call("SetUnitProperties", "sba(sv)", unit, True, list(properties))

    def attach(self, unit: str, pid: int) -> None:
        """Move a process into the unit's group, which between groups of two owners is not for their users to do."""
        self._call("AttachProcessesToUnit", "ssau", unit, "", [pid])

    def _start(self, wanted: list[object]) -> object:
        return self._call("StartTransientUnit", "ssa(sv)a(sa(sv))", *wanted)[0]

    def _result(self, job: object) -> object:
        """Of a job that was queued: "done", "failed", "canceled", "timeout", "dependency" or "skipped"."""
        return self._bus.wait(lambda values: values[1] == job)[3]

    def _forget(self, unit: str) -> None:
        """Have a failed unit unloaded."""
        try:
            self._call("ResetFailedUnit", "s", unit)
        except BusError as error:
            if error.name != _NO_SUCH_UNIT:
                raise

    def _call(self, member: str, signature: str, *values: object) -> list[object]:
        return self._bus.call(_SYSTEMD, _PATH, _MANAGER, member, signature, values)


def _addresses() -> Iterator[tuple[str, bool]]:
    """(socket, whether it is systemd's own) in the order to try."""
    if privileged():
        yield "/run/systemd/private", True
        yield "/run/dbus/system_bus_socket", False
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime:
        yield runtime + "/systemd/private", True
    for address in os.environ.get("DBUS_SESSION_BUS_ADDRESS", "").split(";"):
        kind, _, path = address.partition(",")[0].partition("=")
        if kind in ("unix:path", "unix:abstract"):
            yield "\0" * (kind == "unix:abstract") + path, False
    if runtime:
        yield runtime + "/bus", False
