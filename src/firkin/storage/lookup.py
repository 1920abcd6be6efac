"""What a stack of layers shows at a path, found without mounting anything.

Invariant: names are looked up as overlay does it, one component at a time in each layer from the top, a symlink being the
end and never followed; a whiteout, an opaque directory or a file above hides all that lies below.
Source: kernel filesystems/overlayfs.rst, "Merged directories".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from firkin.linux.overlay import OPAQUE
from firkin.storage.tree import is_whiteout
from firkin.storage.walk import OPEN_DIRECTORY

_ANYTHING = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def lookup(layers: Sequence[str], path: bytes) -> int | None:
    """What `layers`, directories top first, show at `path`: a descriptor to read a directory, an O_PATH one of
    anything else, or None."""
    return next(_occurrences(layers, path), None)


def merged_names(layers: Sequence[str], path: bytes) -> set[bytes]:
    """The names in the directory that `layers` show at `path`; none where there is no directory."""
    names: dict[bytes, bool] = {}  # whether it is there: the topmost layer that mentions it decides
    for fd in _occurrences(layers, path):
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                break
            for name in map(os.fsencode, os.listdir(fd)):
                if name not in names:
                    names[name] = not is_whiteout(os.stat(name, dir_fd=fd, follow_symlinks=False))
        finally:
            os.close(fd)
    return {name for name, there in names.items() if there}


def _occurrences(layers: Sequence[str], path: bytes) -> Iterator[int]:
    """What each layer that is not hidden by one above has at `path`, from the top."""
    parts = [part for part in path.split(b"/") if part]
    for layer in layers:
        found, hides = _in_layer(layer, parts)
        if found is not None:
            hides = hides or not stat.S_ISDIR(os.fstat(found).st_mode)
            yield found
        if hides:
            return


def _in_layer(layer: str, parts: list[bytes]) -> tuple[int | None, bool]:
    """(descriptor of the file, if this layer has it; whether this layer hides what others below have)."""
    fd = os.open(layer, OPEN_DIRECTORY)
    hides = False
    for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
        above = fd
        try:
            info = os.stat(part, dir_fd=above, follow_symlinks=False)
            directory = stat.S_ISDIR(info.st_mode)
            if is_whiteout(info) or (left and not directory):
                return None, True
            fd = os.open(part, OPEN_DIRECTORY if directory else _ANYTHING, dir_fd=above)
        except FileNotFoundError:
            return None, hides
        finally:
            os.close(above)
        hides = hides or (directory and is_opaque(fd))
    return fd, hides


def is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, OPAQUE) == b"y"
    except OSError:  # ENODATA, or no such attributes here
        return False
