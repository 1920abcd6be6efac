"""The `local` volume driver's options: what to mount, when a volume is more than a directory.

Source: docker volume create, "Driver-specific options" (`type`, `device` and `o` as mount(8) takes them);
moby `volume/local/local_unix.go`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from firkin.errors import Invalid, Unavailable
from firkin.linux import mount

_KNOWN = ("type", "device", "o", "size")
_FLAGS = {
    "ro": mount.MS_RDONLY,
    "nosuid": mount.MS_NOSUID,
    "nodev": mount.MS_NODEV,
    "noexec": mount.MS_NOEXEC,
    "noatime": mount.MS_NOATIME,
    "nodiratime": mount.MS_NODIRATIME,
    "relatime": mount.MS_RELATIME,
    "bind": mount.MS_BIND,
    "rbind": mount.MS_BIND | mount.MS_REC,
}
_DEFAULTS = ("rw", "suid", "dev", "exec", "async", "defaults")


def check(options: Mapping[str, str]) -> None:
    """Raise `Invalid` unless these are options that `mount_volume` can act on."""
    for name in options:
        if name not in _KNOWN:
            raise Invalid(f"create volume: invalid option: {name!r}")
    if "size" in options:
        raise Invalid("create volume: quota size requested but no quota support")
    if options and not ("type" in options and "device" in options):
        missing = "type" if "type" not in options else "device"
        raise Invalid(f"create volume: missing required option: {missing!r}")


def mount_volume(options: Mapping[str, str], target: str) -> None:
    """Mount what `options` describe at the directory `target`. May take as long as a server takes to answer.
    Raises OSError, or `Unavailable` for a server without an address."""
    flags, data = 0, []
    for word in filter(None, options.get("o", "").split(",")):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word.startswith("addr=") and options["type"].startswith(("nfs", "cifs")):
            data.append("addr=" + _address(word.removeprefix("addr=")))  # mount(2) knows no names, mount(8) does
        elif word not in _DEFAULTS:
            data.append(word)
    kind = None if flags & mount.MS_BIND else options["type"]
    mount.mount(options["device"], target, kind, flags, ",".join(data))
    if kind is None and flags & mount.MS_RDONLY:  # a bind mount takes its flags in a second step
        mount.mount(None, target, None, flags | mount.MS_REMOUNT)


def _address(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None)[0][4][0])
    except OSError as error:
        raise Unavailable(f"mount volume: look up {host}: {error.strerror}")
