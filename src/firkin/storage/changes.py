"""What a container changed in its root: its writable layer compared with the layers below.

Kinds are Docker's: 0 changed, 1 added, 2 deleted. A directory counts as changed when something in it did or its own
attributes differ; a deleted directory is listed without what was in it.
Source: Docker Engine API, `GET /containers/{id}/changes`; moby `pkg/archive/changes.go`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from firkin.storage.lookup import is_opaque, lookup, merged_names
from firkin.storage.tree import is_whiteout
from firkin.storage.walk import OPEN_DIRECTORY, Found, walk

CHANGED, ADDED, DELETED = 0, 1, 2
Change = tuple[int, str]


def changes(upper: str, lowers: Sequence[str]) -> list[Change]:
    """(kind, absolute path) of everything that differs, sorted by path. The container may be writing meanwhile."""
    kinds: dict[bytes, int] = {}
    fd = os.open(upper, OPEN_DIRECTORY)
    try:
        for found in walk(fd):
            kinds.update(_of(found, lowers))
    finally:
        os.close(fd)
    for path in list(kinds):
        while path := path.rpartition(b"/")[0]:
            kinds.setdefault(path, CHANGED)
    return [(kinds[path], os.fsdecode(b"/" + path)) for path in sorted(kinds)]


def _of(found: Found, lowers: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """What one file in the writable layer says."""
    original = _stat(lowers, found.path)
    if is_whiteout(found.info):
        if original:
            yield found.path, DELETED
    elif original is None:
        yield found.path, ADDED
    else:
        if not _same(found.info, original):
            yield found.path, CHANGED
        if stat.S_ISDIR(found.info.st_mode):
            yield from ((found.path + b"/" + name, DELETED) for name in _hidden(found, lowers))


def _hidden(found: Found, lowers: Sequence[str]) -> set[bytes]:
    """Names below that an opaque directory keeps from showing."""
    fd = os.open(found.name, OPEN_DIRECTORY, dir_fd=found.parent)
    try:
        return merged_names(lowers, found.path) - set(map(os.fsencode, os.listdir(fd))) if is_opaque(fd) else set()
    finally:
        os.close(fd)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing tells them apart; a directory's size means nothing."""
    keys = [(s.st_mode, s.st_uid, s.st_gid, s.st_rdev, s.st_mtime_ns) for s in (one, other)]
    return keys[0] == keys[1] and (stat.S_ISDIR(one.st_mode) or one.st_size == other.st_size)


def _stat(lowers: Sequence[str], path: bytes) -> os.stat_result | None:
    fd = lookup(lowers, path)
    if fd is None:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)
