"""A process in a mount namespace where nothing can be written but one small directory of its own: in it archives are
unpacked, layers and copies, so that a write anywhere else fails and is seen.

Spoken to over a socket: a marshalled request, then a marshalled answer, each behind its length.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import socket
import struct
import subprocess
import sys
import tempfile
from typing import Any

from firkin.errors import FirkinError
from firkin.linux import mount
from firkin.storage.tar_reader import TarReader
from firkin.storage.unpack import Unpacker
from firkin.storage.unpack_layer import LayerUnpacker

ROOM = 64 << 20
_VICTIM = b"the host's own\n"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Cell:
    """The process, as its user sees it."""

    def __enter__(self) -> Cell:
        self.place = tempfile.mkdtemp(prefix="firkin-cell-")
        self._sock, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", "from tests.fuzz import cell; cell.main()", str(theirs.fileno()), self.place]
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), cwd=os.getcwd())
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()
        self._process.wait(10)
        os.rmdir(self.place)

    def unpack(self, archive: bytes, kind: str) -> dict[str, Any]:
        """Unpack as "layer" or "copy" over a directory that links out of itself. `error`: the exception's kind ("" for
        none, "ValueError" and the like for one that is no FirkinError), `message`; `outside`: what has changed there."""
        send(self._sock, {"archive": archive, "kind": kind})
        answer: dict[str, Any] = receive(self._sock)
        return answer


def send(sock: socket.socket, value: dict[str, Any]) -> None:
    data = marshal.dumps(value)
    sock.sendall(struct.pack("=I", len(data)) + data)


def receive(sock: socket.socket) -> Any:
    size = struct.unpack("=I", sock.recv(4, socket.MSG_WAITALL) or b"\0\0\0\0")[0]
    return marshal.loads(sock.recv(size, socket.MSG_WAITALL)) if size else None


# --- inside --------------------------------------------------------------------------------------------------------
def main() -> None:
    sock, place = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0  # CLONE_NEWNS
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    root = os.open("/", _DIRECTORY)
    mount.change(root, (mount.MOUNT_ATTR_RDONLY, 0, 0, True))
    os.umask(0)
    while request := receive(sock):
        send(sock, _unpack(place, request["archive"], request["kind"]))


def _unpack(place: str, archive: bytes, kind: str) -> dict[str, Any]:
    mount.mount("cell", place, "tmpfs", 0, f"size={ROOM}")
    os.chdir(place)
    os.makedirs("root/there")
    os.mkdir("victim")
    with open("victim/file", "wb") as file:
        file.write(_VICTIM)
    os.symlink("../victim", "root/out")
    os.symlink(f"{place}/victim/file", "root/there/link")
    before = _outside()
    fd = os.open("root", _DIRECTORY)
    answer = {"error": "", "message": "", "outside": ""}
    try:
        unpacker = LayerUnpacker(fd) if kind == "layer" else Unpacker(fd, below=b"there")
        unpacker.unpack(TarReader(iter([archive])))
    except FirkinError as error:
        answer |= {"error": error.kind, "message": error.message}
    except Exception as error:
        answer |= {"error": type(error).__name__, "message": repr(error)}
    os.close(fd)
    os.chdir(place)
    after = _outside()
    os.chdir("/")
    mount.umount(place, mount.MNT_DETACH)
    return answer | {"outside": "" if before == after else f"{before} -> {after}"}


def _outside() -> list[Any]:
    """Everything in the victim's directory and the cell's own, but for the root."""
    found: list[Any] = [sorted(os.listdir("."))]
    for path in ("victim", *(f"victim/{name}" for name in sorted(os.listdir("victim")))):
        info = os.lstat(path)
        found.append((path, info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, info.st_nlink, os.listxattr(path)))
    with open("victim/file", "rb") as file:
        found.append(file.read())
    return found
