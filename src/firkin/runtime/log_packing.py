"""Rotated log files packed with gzip (`--log-opt compress=true`), by the daemon: the keeper is not held up by it.

The keeper alone moves files on (see `logwriter`), and whoever has the newest one locked (flock(2)) keeps it from doing so:
it goes on writing, and rotates a batch later. So a packed file takes its place while nothing moves. It is complete then,
and stands beside the other for a moment, or for as long as nobody is there if the daemon was killed just then: where there
are both, the packed one is to be made again. Inside it says which file it was, so that a reader who has that one open knows it.
Source: moby daemon/logger/loggerutils/logfile.go (names); RFC 1952.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import struct
import time
from collections.abc import Iterator
from typing import BinaryIO

from isal import isal_zlib

from firkin.runtime.logwriter import PACKED

_STEP = 1 << 18
_TRIES, _PAUSE = 100, 0.001  # seconds; a rotation is a few renames
_HEADER = struct.Struct("<4sIBBH2sHQ")  # gzip's, with a field `in` of eight bytes
_MAGIC, _UNIX, _FIELD = b"\x1f\x8b\x08\x04", 3, b"in"


@contextlib.contextmanager
def unmoved(path: str, *, alone: bool = False) -> Iterator[bool]:
    """While this lasts none of the files of the log at `path` is moved, and with `alone` nobody else is here. False if that
    cannot be had: there is no log, or somebody hangs."""
    fd = _lock(path, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def pack_rotated(path: str) -> None:
    """Pack every rotated file of the log at `path` that is not packed yet, the oldest first. Raises OSError."""
    while numbers := [number for number in _rotated(path) if os.path.exists(f"{path}.{number}")]:
        try:
            if not _pack_one(path, f"{path}.{numbers[-1]}"):
                return
        except FileNotFoundError:
            continue  # moved on since we looked, or all are removed


def inode_within(packed: int) -> int:
    """The number of the file that was packed into this one; 0 if it is none of ours."""
    data = os.pread(packed, _HEADER.size, 0)
    if len(data) < _HEADER.size:
        return 0
    magic, *_, field, _, inode = _HEADER.unpack(data)
    return inode if (magic, field) == (_MAGIC, _FIELD) else 0


def _rotated(path: str) -> Iterator[int]:
    """The numbers of the rotated files; one may be missing where a rotation was interrupted."""
    missing = 0
    for number in itertools.count(1):
        there = any(os.path.exists(f"{path}.{number}{suffix}") for suffix in ("", PACKED))
        missing = 0 if there else missing + 1
        if missing > 1:
            return
        if there:
            yield number


def _pack_one(path: str, name: str) -> bool:
    """False if it cannot take its place now."""
    unfinished = f"{path}{PACKED}.tmp"
    with open(name, "rb", buffering=0) as source, open(unfinished, "wb", opener=_private) as target:
        _pack(source.fileno(), target)
        inode = os.fstat(source.fileno()).st_ino
        with unmoved(path, alone=True) as still:
            names = (f"{path}.{number}" for number in _rotated(path)) if still else ()
            place = next((name for name in names if _inode(name) == inode), "")
            if place:
                os.rename(unfinished, place + PACKED)
                os.unlink(place)
    if not place:
        os.unlink(unfinished)
    return still


def _pack(source: int, target: BinaryIO) -> None:
    """What is written to the disk before the original goes has to be there after a crash, too."""
    packer, checksum, size = isal_zlib.compressobj(wbits=-isal_zlib.MAX_WBITS), 0, 0
    target.write(_HEADER.pack(_MAGIC, 0, 0, _UNIX, 12, _FIELD, 8, os.fstat(source).st_ino))
    while data := os.read(source, _STEP):
        checksum, size = isal_zlib.crc32(data, checksum), size + len(data)
        target.write(packer.compress(data))
    target.write(packer.flush() + struct.pack("<II", checksum, size & 0xFFFFFFFF))
    target.flush()
    os.fsync(target.fileno())


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o640)


def _inode(name: str) -> int:
    try:
        return os.stat(name).st_ino
    except FileNotFoundError:
        return 0


def _lock(path: str, kind: int) -> int | None:
    for _ in range(_TRIES):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == _inode(path):
                return fd
        except BlockingIOError:
            pass
        os.close(fd)
        time.sleep(_PAUSE)
    return None
