"""Raw keys of cgroup version 2 (`--cgroup-conf memory.high=1G`): what may be written, and what to make of a refusal.

A key names a control file of the container's own group, of a controller that is enabled here, and nothing else: not a
path, and none of the core's files that would move, stop or divide the container behind the engine's back.
Source: Linux Documentation/admin-guide/cgroup-v2.rst; podman-run(1) has the flag.
"""

from __future__ import annotations

import errno
import os
import re

from firkin.errors import FirkinError, Internal, Invalid, reason
from firkin.linux.cgroup import Cgroups

_KEY = re.compile(r"[a-z]+(\.[A-Za-z0-9_]+)+")
_CORE = ("cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure")
_LONGEST = 4095  # a write is at most a page
_VALUE_REFUSED = (errno.EINVAL, errno.ERANGE, errno.ENODEV, errno.EOPNOTSUPP)


def check(cgroups: Cgroups, conf: dict[str, str]) -> None:
    """Raises `Invalid` for what can never be written; whether a value makes sense is for the kernel to say."""
    for key, value in conf.items():
        if not cgroups.unified:
            raise Invalid(f"set CgroupConf {key}: this machine has cgroup version 1")
        if not _KEY.fullmatch(key):
            raise Invalid(f"set CgroupConf {key}: not the name of a control file")
        controller = key.partition(".")[0]
        if controller == "cgroup" and key not in _CORE:
            raise Invalid(f"set CgroupConf {key}: of the cgroup core's files only {', '.join(_CORE)}")
        if controller != "cgroup" and controller not in cgroups.controllers:
            raise Invalid(f"set CgroupConf {key}: there is no controller {controller} here")
        if not value or len(value.encode()) > _LONGEST or not value.isprintable():
            raise Invalid(f"set CgroupConf {key}: the value is to be one line of text")


def check_there(conf: dict[str, str], missing: list[str]) -> None:
    """`missing`: control files that could not be written because they are not there."""
    for key in conf:
        if key in missing:
            raise Invalid(f"set CgroupConf {key}: this kernel has no such control file")


def refused(conf: dict[str, str], error: OSError, otherwise: str) -> FirkinError:
    """The error to raise when writing a control file failed; `otherwise` is what was being done if not for a raw key."""
    key = os.path.basename(error.filename or "")
    if key in conf and error.errno in _VALUE_REFUSED:
        return Invalid(f"set CgroupConf {key} to {conf[key]}: {reason(error)}")
    return Internal(f"{otherwise}: {reason(error)}")
