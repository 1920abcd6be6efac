"""`firkin-oci spec`: a configuration to start from.

Source: runc libcontainer/specconv/example.go.
"""

from __future__ import annotations

import os

from firkin.errors import Conflict
from firkin.oci.runtime_config import OCI_VERSION
from firkin.runtime import defaults
from firkin.runtime.oci import flags, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firkin.runtime.oci.context import Context

ARGUMENTS, WORDS = (0, 0), ""
FLAGS = (
    ("bundle", flags.PATH, "b", "path to the root of the bundle directory"),
    ("rootless", flags.SWITCH, "", "a configuration for a container of an ordinary user"),
)
_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")


def main(context: Context) -> int:
    path = os.path.join(context.options.text("bundle") or ".", "config.json")
    content = example()
    if context.options.on("rootless"):
        make_rootless(content)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Conflict("File config.json exists. Remove it first") from None
    os.write(fd, show.indented(content, "\t").encode())
    os.close(fd)
    return 0


def example() -> dict[str, Any]:
    process = {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [defaults.PATH, "TERM=xterm"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }
    return {
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "firkin",
        "mounts": [_mount(*one) for one in _MOUNTS],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in _NAMESPACES],
            "maskedPaths": [*defaults.MASKED_PATHS],
            "readonlyPaths": [*defaults.READONLY_PATHS],
        },
    }


_HARDENED = "nosuid noexec nodev"
_MOUNTS = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", _HARDENED),
    ("/sys", "sysfs", "sysfs", _HARDENED + " ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", _HARDENED + " relatime ro"),
)


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    found: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    return {**found, "options": options.split()} if options else found


def make_rootless(content: dict[str, Any]) -> None:
    """What an ordinary user may not do goes: a network of its own, limits, a fresh sysfs, ids beyond one."""
    linux = content["linux"]
    kinds = [*(kind for kind in _NAMESPACES if kind != "network"), "user"]
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    del linux["resources"]
    mounts = [one for one in content["mounts"] if one["destination"] not in ("/sys", "/sys/fs/cgroup")]
    for one in mounts:
        if "options" in one:
            one["options"] = [word for word in one["options"] if not word.startswith(("gid=", "uid="))]
    sys = _mount("/sys", "none", "/sys", "rbind nosuid noexec nodev ro")
    content["mounts"] = [*mounts, sys]
