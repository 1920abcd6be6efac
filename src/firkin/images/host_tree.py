"""Files of this machine laid out as the root of an image, written as one deterministic tar stream.

Invariant: the same host files give the same bytes: members sorted, owners root, times of directories and of generated
files zero. Symlinks on the way to a file (`/bin` -> `usr/bin`) are taken along, so every name works inside as outside.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable
from typing import IO

from firkin.errors import Invalid

_MOST_LINKS = 40
_CAPABILITY = "security.capability"

MERGED = ("/bin", "/sbin", "/lib", "/lib64")  # links into /usr on a merged system; every script says /bin/sh
_DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
}


class HostTree:
    """Members by name (no leading slash). `files` are copied from the host, `texts` and `links` made up."""

    def __init__(self) -> None:
        self._directories: dict[str, int] = dict(_DIRECTORIES)
        self._links: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._texts: dict[str, str] = dict(_FILES)

    def add(self, paths: Iterable[str]) -> None:
        """Take along each host path with all that leads to it; a symlink to nothing stays one."""
        for path in paths:
            self._add(path)

    def place(self, name: str, path: str) -> None:
        """Take the host's file `path` along as `name`."""
        self._parents(name)
        self._files[name] = path

    def link(self, name: str, target: str) -> None:
        """A symlink of our own."""
        self._parents(name)
        self._links[name] = target

    def _parents(self, name: str) -> None:
        while name := os.path.dirname(name):
            self._directories.setdefault(name, 0o755)

    def _add(self, path: str) -> None:
        waiting, at, links = path.split("/")[::-1], "", 0
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                at = os.path.dirname(at)
                continue
            name = f"{at}/{part}" if at else part
            try:
                info = os.lstat("/" + name)
            except FileNotFoundError:
                return
            if stat.S_ISLNK(info.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise Invalid(f"take along {path}: too many levels of symbolic links")
                target = self._links[name] = os.readlink("/" + name)
                at = "" if target.startswith("/") else at
                waiting += target.split("/")[::-1]
            elif stat.S_ISDIR(info.st_mode):
                self._directories.setdefault(name, stat.S_IMODE(info.st_mode))
                at = name
            elif stat.S_ISREG(info.st_mode):
                self._texts.pop(name, None)
                self._files[name] = "/" + name
                return
            else:
                return

    def write(self, out: IO[bytes]) -> None:
        """The tree as a tar stream (pax format)."""
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
            for name in sorted({*self._directories, *self._links, *self._files, *self._texts}):
                self._write_member(tar, name)

    def _write_member(self, tar: tarfile.TarFile, name: str) -> None:
        member = tarfile.TarInfo(name)
        if name in self._links:
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, self._links[name], 0o777
            tar.addfile(member)
        elif name in self._files:
            with open(self._files[name], "rb") as file:
                _describe(member, file.fileno())
                tar.addfile(member, file)
        elif name in self._texts:
            data = self._texts[name].encode()
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
        else:
            member.type, member.mode = tarfile.DIRTYPE, self._directories[name]
            tar.addfile(member)


def _describe(member: tarfile.TarInfo, fd: int) -> None:
    """Size, time, mode and file capabilities of a host file; it will be root's, so only root's set-id bits stay."""
    info = os.fstat(fd)
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid:
        mode &= ~stat.S_ISUID
    if info.st_gid:
        mode &= ~stat.S_ISGID
    member.size, member.mode, member.mtime = info.st_size, mode, int(info.st_mtime)
    try:
        value = os.getxattr(fd, _CAPABILITY)
        member.pax_headers = {f"SCHILY.xattr.{_CAPABILITY}": value.decode("utf-8", "surrogateescape")}
    except OSError:
        pass
