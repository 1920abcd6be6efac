"""The worker's half of `docker cp`: look at, pack and unpack one path in a container's root.

Invariant: every path is looked up by openat2(2) RESOLVE_IN_ROOT without magic links, and nothing of the container's is
loaded or executed (CVE-2018-15664, CVE-2019-14271).
Source: Docker Engine API, `/containers/{id}/archive`; moby `daemon/archive_unix.go`, Go `path/filepath` for names.
"""

from __future__ import annotations

import errno
import marshal
import os
import posixpath
import stat
import struct
from typing import Any

from firkin.errors import Invalid, NotFound, reason
from firkin.linux import fs
from firkin.runtime.accounts import find_account
from firkin.storage import confine
from firkin.storage.decompress import uncompressed
from firkin.storage.files import write_all
from firkin.storage.pack import Packer
from firkin.storage.tar_reader import TarReader
from firkin.storage.unpack import Unpacker
from firkin.storage.walk import Found

_STDIN, _STDOUT = 0, 1
_MOST_LINKS = 40
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def stat_path(request: dict[str, Any]) -> dict[str, Any]:
    """{"view", "path"} -> name, size, mode (st_mode), mtime (ns), link_target ("" unless a symlink)."""
    return _stat(_enter(request), _absolute(request["path"]))


def read_archive(request: dict[str, Any]) -> dict[str, Any]:
    """{"view", "path"}; writes what `stat_path` says, marshalled, behind its length, and then the tar stream."""
    root, path = _enter(request), _absolute(request["path"])
    found = _stat(root, path)
    about = marshal.dumps(found)
    write_all(_STDOUT, struct.pack("=I", len(about)) + about)
    packer = Packer(lambda data: write_all(_STDOUT, data))
    name = os.fsencode(found["name"])
    if stat.S_ISDIR(found["mode"]):
        directory = _open(root, path, _DIRECTORY)
        packer.directory(Found(name, directory, b".", os.fstat(directory)), name)
        packer.pack_below(directory, name.rstrip(b"/") + b"/")
    else:
        parent = _open(root, posixpath.dirname(path), _DIRECTORY)
        packer.pack(Found(name, parent, name, os.stat(name, dir_fd=parent, follow_symlinks=False)), name)
    packer.end()
    return {}


def write_archive(request: dict[str, Any]) -> dict[str, Any]:
    """{"view", "path", "keep_kinds", "user"}; unpacks standard input into the directory `path`. With `user`, what it
    makes belongs to that user of the container's."""
    root, path = _enter(request), _absolute(request["path"])
    try:
        os.close(_open(root, path, _DIRECTORY))
    except NotADirectoryError:
        raise Invalid(f"extract to {path}: extraction point is not a directory")
    owner = _owner(root, request["user"]) if request["user"] else None
    reader = TarReader(uncompressed(lambda most: os.read(_STDIN, most)))
    unpacker = Unpacker(root, below=os.fsencode(path), keep_kinds=request["keep_kinds"], owner=owner)
    unpacker.unpack(reader)
    reader.drain()
    return {}


def _enter(request: dict[str, Any]) -> int:
    confine.enter(request["view"])
    return os.open("/", _DIRECTORY)


def _absolute(path: str) -> str:
    """`path` cleaned and absolute; a final `/` or `/.`, which says that a directory is meant, stays."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    last = path.rpartition("/")[2]
    return clean if clean == "/" or last not in ("", ".") else f"{clean}/{last}"


def _open(root: int, path: str, flags: int) -> int:
    try:
        return fs.in_root(root, path, flags)
    except FileNotFoundError:
        raise NotFound(f"Could not find the file {path} in the container")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
            raise
        raise Invalid(f"open {path} in the container: {reason(error)}")


def _stat(root: int, path: str) -> dict[str, Any]:
    try:
        info = os.fstat(_open(root, path, os.O_PATH | os.O_NOFOLLOW))
    except NotADirectoryError:
        raise NotFound(f"Could not find the file {path} in the container")
    return {
        "name": posixpath.basename(path.rstrip("/")) or "/",
        "size": info.st_size,
        "mode": info.st_mode,
        "mtime": info.st_mtime_ns,
        "link_target": _evaluate(root, path) if stat.S_ISLNK(info.st_mode) else "",
    }


def _evaluate(root: int, path: str) -> str:
    """Where the symlink `path` leads in the end; its last parts need not exist."""
    waiting, done = path.split("/")[::-1], [""]
    for _ in range(_MOST_LINKS):
        while waiting:
            name = waiting.pop()
            if name == "..":
                done = done[:-1] or done
            elif name not in ("", "."):
                done.append(name)
                target = _link(root, "/".join(done))
                if target:
                    done = [""] if target.startswith("/") else done[:-1]
                    waiting += target.split("/")[::-1]
                    break
        else:
            return "/".join(done) or "/"
    raise Invalid(f"follow {path}: {os.strerror(errno.ELOOP).lower()}")


def _link(root: int, path: str) -> str:
    """The text of the symlink `path`, "" if it is none."""
    try:
        fd = fs.in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else ""
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _owner(root: int, user: str) -> tuple[int, int]:
    try:
        account = find_account(user, [], _content(root, "/etc/passwd"), _content(root, "/etc/group"))
    except OSError as error:
        raise Invalid(error.filename or reason(error))
    return account.uid, account.gid


def _content(root: int, path: str) -> bytes:
    """A small file's content; nothing if it is missing or no file."""
    try:
        fd = fs.in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    with open(fd, "rb") as file:
        return file.read(1 << 20) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
