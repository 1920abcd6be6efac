"""From device rules to the properties that systemd knows them by, for cgroup version 1. Pure.

There systemd must know: of a unit without rules it takes the devices group away again, and its processes back to the slice's,
as soon as another unit of the slice has some. (In version 2 rules are a program, which stays where it is.)
Source: systemd.resource-control(5), `DeviceAllow=`, `DevicePolicy=`; kernel cgroup-v1/devices.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from firkin.linux.systemd import Property
    from firkin.runtime.cgroup_settings import DeviceRule

_DIRECTORIES = {"c": "char", "b": "block"}
_EVERYTHING = ("a", -1, -1)


def of_rules(rules: Iterable[DeviceRule]) -> list[Property]:
    """A list of what is allowed, or that everything is. Exceptions from what is allowed cannot be said so, and are in force by
    the group's own files alone."""
    allowed: dict[tuple[str, int, int], str] = {}
    everything = True
    for allow, kind, major, minor, access in rules:
        which = kind, major, minor
        if which == _EVERYTHING and set(access) == set("rwm"):
            everything = allow
            allowed.clear()
        elif allow:
            allowed[which] = "".join(sorted({*allowed.get(which, ""), *access}))
        elif which in allowed:
            allowed[which] = "".join(sorted({*allowed[which]} - {*access}))
    if everything:
        return [("DevicePolicy", ("s", "auto"))]
    listed = [(name, access) for which, access in allowed.items() if access for name in _names(*which)]
    return [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", listed))]


def _names(kind: str, major: int, minor: int) -> list[str]:
    """One minor number of all majors has none."""
    kinds = [_DIRECTORIES[one] for one in ("cb" if kind == "a" else kind)]
    if major < 0:
        return [f"{one}-*" for one in kinds if minor < 0]
    return [f"{one}-{major}" if minor < 0 else f"/dev/{one}/{major}:{minor}" for one in kinds]
