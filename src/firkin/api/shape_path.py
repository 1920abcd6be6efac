"""What a path in a container is: moby's `ContainerPathStat`, the header of the archive routes."""

from __future__ import annotations

import stat
from typing import Any

from firkin.api.times import rfc3339
from firkin.storage.archive import PathStat

# Go's os.FileMode keeps the kind of a file in bits of its own.
_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def go_file_mode(mode: int) -> int:
    """`st_mode` as Go's `os.FileMode`."""
    bits = sum(go for unix, go in _GO_BITS if mode & unix)
    return (mode & 0o777) | bits | _GO_KINDS.get(stat.S_IFMT(mode), 0)


def path_stat(found: PathStat) -> dict[str, Any]:
    return {
        "name": found.name,
        "size": found.size,
        "mode": go_file_mode(found.mode),
        "mtime": rfc3339(found.mtime),
        "linkTarget": found.link_target,
    }
