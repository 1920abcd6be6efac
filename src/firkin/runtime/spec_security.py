"""What a container may do: capabilities and `--security-opt`.

Source: moby daemon/pkg/oci/caps/utils.go and daemon/daemon_unix.go (parseSecurityOpt).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import msgspec

from firkin.errors import Invalid
from firkin.model import HostConfig
from firkin.oci.runtime_config import Capabilities
from firkin.runtime import capability_names, defaults


class SecurityOptions(msgspec.Struct, frozen=True):
    """`seccomp`: "" (Docker's default profile), "unconfined", or a profile's JSON. Labels are SELinux's."""

    seccomp: str = ""
    no_new_privileges: bool = False
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    writable_cgroups: bool = False


@functools.lru_cache(maxsize=64)
def security_options(options: tuple[str, ...]) -> SecurityOptions:
    """`--security-opt` values as the API carries them (the client has replaced a profile's file name by its contents)."""
    found = SecurityOptions()
    for option in options:
        key, value = _key_and_value(option)
        if key == "seccomp":
            found = msgspec.structs.replace(found, seccomp="" if value == "builtin" else value)
        elif key == "apparmor":
            found = msgspec.structs.replace(found, apparmor=value)
        elif key == "label":
            found = msgspec.structs.replace(found, labels=(*found.labels, value))
        elif key == "no-new-privileges":
            found = msgspec.structs.replace(found, no_new_privileges=_boolean(option, value))
        elif key == "writable-cgroups":
            found = msgspec.structs.replace(found, writable_cgroups=_boolean(option, value))
        else:
            raise Invalid(f"invalid --security-opt 2: {option!r}")
    return found


def _key_and_value(option: str) -> tuple[str, str]:
    """Split at the first `=`, or at `:` as old clients write it."""
    if option in ("no-new-privileges", "writable-cgroups"):
        return option, "true"
    separator = "=" if "=" in option else ":"
    key, found, value = option.partition(separator)
    if not found:
        raise Invalid(f"invalid --security-opt 1: {option!r}")
    return key, value


def _boolean(option: str, value: str) -> bool:
    if value.lower() in ("true", "t", "1"):
        return True
    if value.lower() in ("false", "f", "0"):
        return False
    raise Invalid(f"invalid --security-opt 2: {option!r}")


def bounding_set(host: HostConfig, available: tuple[str, ...]) -> tuple[str, ...]:
    """The capabilities nothing in the container can exceed: Docker's fourteen, adjusted by --cap-add and --cap-drop, or
    with --privileged all that this process has. `available` names the latter."""
    if host.privileged:
        return available
    if not host.cap_add and not host.cap_drop:
        return tuple(name for name in defaults.CAPABILITIES if name in available)
    added, dropped = _normalised(host.cap_add, available), _normalised(host.cap_drop, available)
    if "ALL" in added:
        return tuple(name for name in available if name not in dropped)
    if "ALL" in dropped:
        return tuple(dict.fromkeys(added))
    kept = (name for name in defaults.CAPABILITIES if name in available and name not in dropped)
    return tuple(dict.fromkeys((*kept, *added)))


def _normalised(names: Iterable[str], available: tuple[str, ...]) -> list[str]:
    """Upper case, with the CAP_ prefix, except for ALL; refuses what the kernel or this process lacks."""
    normalised = []
    for name in map(str.upper, names):
        if name != "ALL":
            name = name if name.startswith("CAP_") else "CAP_" + name
            if name not in capability_names.NAMES:
                raise Invalid(f'unknown capability: "{name}"')
            if name not in available:
                raise Invalid(f'capability not supported by your kernel or not available in the current environment: "{name}"')
        normalised.append(name)
    return normalised


def capability_sets(bounding: tuple[str, ...], user: str) -> Capabilities:
    """The sets of a process of `user` ("name", "uid:gid", "" for root) in a container bounded so. Nothing is inheritable
    (CVE-2022-29162); whoever is not root starts with none, as execve(2) would leave it anyhow."""
    root = user.partition(":")[0] in ("", "0", "root")
    return Capabilities(bounding=bounding, permitted=bounding, effective=bounding) if root else Capabilities(bounding=bounding)
