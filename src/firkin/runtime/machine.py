"""The facts about this machine that a container's configuration depends on, read once when the daemon starts.

`build_config` is a pure function of these, the container's record and what was prepared for this one start; tests make
their own `Machine`.
"""

from __future__ import annotations

import os
import pathlib
import shutil

import msgspec

from firkin.linux import capabilities, lsm
from firkin.linux.process import in_user_namespace
from firkin.model import Ulimit
from firkin.runtime import capability_names, defaults, selinux

# Debian's names of programs that will do as `--init`, best first, and the package each is in.
_INITS = ("docker-init", "tini-static", "catatonit")
INIT_PACKAGE = "tini"


class Machine(msgspec.Struct, frozen=True):
    """`capabilities`: names this process may hand on; `init`: path of a static init program, "" when there is none;
    `sysctls`: Docker's network sysctls as far as this kernel has them; `user_namespace`: root is an ordinary user here;
    `cgroups`: there are hierarchies that this process may make groups in; `apparmor_profile`: the name of the default one if
    it is loaded; `selinux`: its policy's labels of a container's processes and files, None where it is off."""

    capabilities: tuple[str, ...]
    unified_cgroups: bool
    masked_paths: tuple[str, ...] = defaults.MASKED_PATHS
    sysctls: dict[str, str] = msgspec.field(default_factory=dict)
    recursive_readonly: bool = True
    volatile_overlay: bool = True
    apparmor: bool = False
    apparmor_profile: str = ""
    selinux: tuple[str, str] | None = None
    user_namespace: bool = False
    cgroups: bool = True
    init: str = ""
    init_by_default: bool = False
    ulimits: tuple[Ulimit, ...] = ()


def detect(
    *,
    unified_cgroups: bool,
    cgroups: bool = True,
    init_by_default: bool = False,
    ulimits: tuple[Ulimit, ...] = (),
    apparmor_profile: str = "",
) -> Machine:
    """This machine, as this process sees it now."""
    users = in_user_namespace()
    return Machine(
        capabilities=capability_names.names(capabilities.get()[1]),
        unified_cgroups=unified_cgroups,
        masked_paths=(*defaults.MASKED_PATHS, *_thermal_throttles()),
        sysctls={
            name: value
            for name, value in defaults.NETWORK_SYSCTLS.items()
            if os.path.exists(sysctl_path(name)) and not (users and name == defaults.PING_GROUPS)  # wants every id mapped
        },
        recursive_readonly=kernel() >= (5, 12),  # mount_setattr(2)
        volatile_overlay=kernel() >= (5, 10),
        apparmor=has_apparmor() and not users,
        apparmor_profile=apparmor_profile,
        selinux=selinux.contexts() if lsm.selinux_enabled() else None,
        user_namespace=users,
        cgroups=cgroups,
        init=next(filter(None, map(shutil.which, _INITS)), ""),
        init_by_default=init_by_default,
        ulimits=ulimits,
    )


def has_apparmor() -> bool:
    return _first_letter("/sys/module/apparmor/parameters/enabled") == "Y"


def sysctl_path(name: str) -> str:
    """Where `net.ipv4.ip_forward` lies under /proc/sys; names may be written with slashes instead, as sysctl(8) allows."""
    return "/proc/sys/" + (name if "/" in name.split(".", 1)[0] else name.replace(".", "/"))


def _thermal_throttles() -> list[str]:
    """They count events that depend on what others compute (GHSA-6fw5-f8r9-fgfm)."""
    return sorted(map(str, pathlib.Path("/sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle")))


def kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)))


def _first_letter(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(1)
    except OSError:
        return ""
