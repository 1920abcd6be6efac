"""An overlay file system of any number of layers.

The invariant: neither the number of layers nor the length of their paths matters. A new kernel takes layers one at a
time (`lowerdir+`, Linux 6.5); an older one takes them in one string of at most a page, which holds descriptor numbers
instead of paths: 125 layers are under 500 bytes, read from inside /proc/self/fd.
Source: Linux Documentation/filesystems/overlayfs.rst, fsconfig(2).
"""

from __future__ import annotations

import errno
import os

from firkin.linux import mount
from firkin.linux.process import in_user_namespace

# Root of a user namespace may not set trusted.* attributes; there overlay keeps its marks among the user's.
IN_USER_NAMESPACE = in_user_namespace()
OPAQUE = "user.overlay.opaque" if IN_USER_NAMESPACE else "trusted.overlay.opaque"
OPTIONS = ("userxattr",) if IN_USER_NAMESPACE else ()
"""What every overlay of this process must be mounted with."""

_LONGEST_VALUE = 255  # of fsconfig
_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def attach(target: str, lowers: list[str], upper: str, work: str, options: list[str]) -> int:
    """Mount an overlay at `target`; its root as a descriptor. `lowers` top first; `upper` "" makes it read-only."""
    place = os.open(target, _OPEN_DIRECTORY)
    try:
        root = make(lowers, upper, work, options)
        mount.attach(root, place)
        return root
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        return _attach_old_way(target, lowers, upper, work, options, error.filename)
    finally:
        os.close(place)


def make(lowers: list[str], upper: str, work: str, options: list[str]) -> int:
    """The same attached nowhere; EINVAL before Linux 6.5, or if a layer's mount is attached nowhere itself before 6.15."""
    held: list[int] = []
    try:
        layers = [f"lowerdir+={_short(path, held)}" for path in lowers]
        if upper:
            layers += [f"upperdir={_short(upper, held)}", f"workdir={_short(work, held)}"]
        return mount.filesystem("overlay", "overlay", 0, [*layers, *options])
    finally:
        for fd in held:
            os.close(fd)


def _short(path: str, held: list[int]) -> str:
    """`path`, or a short name for it that is good as long as the descriptor added to `held` is open."""
    if len(path.encode("utf-8", "surrogateescape")) <= _LONGEST_VALUE:
        return path
    held.append(os.open(path, _OPEN_DIRECTORY))
    return f"/proc/self/fd/{held[-1]}"


def _quoted(option: str) -> str:
    """A label's categories are separated as mount(2)'s options are."""
    name, _, value = option.partition("=")
    return f'{name}="{value}"' if "," in value else option


def _attach_old_way(target: str, lowers: list[str], upper: str, work: str, options: list[str], complaint: str) -> int:
    """With mount(2). Leaves the working directory at `/`. If this fails too, `complaint` about the first try is the
    better explanation: a new kernel says in words what it refuses."""
    held = [os.open(path, _OPEN_DIRECTORY) for path in ([upper, work] if upper else []) + lowers]
    layers = [f"upperdir={held[0]}", f"workdir={held[1]}"] if upper else []
    layers.append("lowerdir=" + ":".join(str(fd) for fd in held[len(layers) :]))
    try:
        os.chdir("/proc/self/fd")
        mount.mount("overlay", target, "overlay", 0, ",".join([*layers, *map(_quoted, options)]))
        os.chdir("/")
        return os.open(target, _OPEN_DIRECTORY)
    except OSError as error:
        raise OSError(error.errno, error.strerror, complaint) from None
    finally:
        for fd in held:
            os.close(fd)
