"""`:z` and `:Z` on a bind mount: give what is on the host the container's SELinux label. Only where SELinux is on.

Source: docker-run(1) "Labeling Volume Mounts"; opencontainers/selinux go-selinux/label (Relabel).
"""

from __future__ import annotations

import errno
import os

from firkin.errors import Internal, Invalid, reason
from firkin.model import Container
from firkin.runtime import selinux
from firkin.runtime.machine import Machine
from firkin.runtime.spec import selinux_labels

ATTRIBUTE = "security.selinux"
# What the machine itself needs, which would stop working under a container's label.
_PRECIOUS = frozenset(
    [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/media",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/var",
    ]
)


def relabel_sources(machine: Machine, container: Container) -> None:
    """Of all bind mounts that ask for it. Raises `Invalid` for a directory of the machine's own."""
    if machine.selinux is None:
        return
    own = selinux_labels(container, machine)[1] or machine.selinux[1]
    for mount in container.mounts:
        modes = mount.mode.split(",")
        if mount.type == "bind" and ("z" in modes or "Z" in modes):
            relabel(mount.source, own if "Z" in modes else selinux.shared(own))


def relabel(path: str, label: str, attribute: str = ATTRIBUTE) -> None:
    """`path` and all below it on the same file system; links are labelled themselves, never followed."""
    if os.path.realpath(path) in _PRECIOUS:
        raise Invalid(f"SELinux relabeling of {path} is not allowed")
    top = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        device = os.fstat(top).st_dev
        _set(top, label, attribute, path)
    finally:
        os.close(top)
    for where, directories, files, fd in os.fwalk(path):
        directories[:] = [name for name in directories if os.stat(name, dir_fd=fd, follow_symlinks=False).st_dev == device]
        for name in (*directories, *files):
            _set(f"/proc/self/fd/{fd}/{name}", label, attribute, os.path.join(where, name))


def _set(what: int | str, label: str, attribute: str, shown: str) -> None:
    try:
        if isinstance(what, int):
            os.setxattr(what, attribute, label.encode() + b"\0")
        else:
            os.setxattr(what, attribute, label.encode() + b"\0", follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENOENT):  # a file system without labels; a file that has gone
            raise Internal(f"relabel {shown}: {reason(error)}") from error
