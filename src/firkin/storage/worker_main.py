"""The worker process: read one request, do it, answer.

Invariants: all imports happen before the request is read, so that none happens inside a container's files; and whatever these
are, this process has so much memory and no more.
"""

from __future__ import annotations

import marshal
import os
import resource
import struct
import sys
from collections.abc import Callable
from typing import Any

from isal import isal_zlib

from firkin.errors import FirkinError, Internal, Invalid, reason
from firkin.linux import fs
from firkin.storage import confine, worker_archive
from firkin.storage.copy_tree import copy_tree
from firkin.storage.decompress import Counted, GrowingFile, in_background, uncompressed
from firkin.storage.files import write_all
from firkin.storage.pack import Packer
from firkin.storage.tar_reader import TarReader
from firkin.storage.unpack_layer import LayerUnpacker

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_FAST, _GZIP = 1, 31  # compression level; gzip's header and trailer
_MEMORY = 512 << 20  # bytes; the largest window that xz or zstd may ask for is a quarter of it
_DEEP = 10_000  # more than a path has components
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def main() -> None:
    """Serve the request on standard input; called by the command line in `worker`."""
    os.umask(0)
    sys.setrecursionlimit(_DEEP)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    operation, exhausted = "start", False
    try:
        operation, request = _request()
        answer = _OPERATIONS[operation](request)
    except FirkinError as error:
        answer = {"kind": error.kind, "message": error.message}
    except OSError as error:
        answer = {"kind": Internal.kind, "message": f"{operation}: {error.filename or 'files'}: {reason(error)}"}
    except MemoryError:  # there is some again only when the files' own values are gone, after this block
        exhausted = True
    except Exception as error:  # told as text: a traceback would be read from files of the container's
        answer = {"kind": Internal.kind, "message": f"{operation}: {error!r}"}
    if exhausted:
        answer = {"kind": Invalid.kind, "message": f"{operation}: it takes more than the {_MEMORY} bytes of memory allowed"}
    write_all(_STDERR, marshal.dumps(answer))
    os._exit(0)  # threads may still wait for input that nobody needs any more


def _request() -> tuple[str, dict[str, Any]]:
    size = struct.unpack("=I", _read_exactly(4))[0]
    request: tuple[str, dict[str, Any]] = marshal.loads(_read_exactly(size))
    return request


def _read_exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(_STDIN, count - len(data))
        if not piece:
            raise Internal("storage worker: no request")
        data += piece
    return data


def unpack_layer(request: dict[str, Any]) -> dict[str, Any]:
    """{"blob": descriptor, "directory": path, "limit": bytes} -> what is known of the layer now in the directory.
    Standard input is closed once the blob is complete; see `GrowingFile`."""
    confine.enter({"directory": request["directory"]})
    blob = GrowingFile(request["blob"], _STDIN)
    stream = Counted(in_background(uncompressed(blob.read)), request["limit"])
    reader = TarReader(iter(stream))
    unpacker = LayerUnpacker(os.open("/", _DIRECTORY))
    unpacker.unpack(reader)
    reader.drain()
    return {
        "diff_id": stream.digest,
        "size": unpacker.size,
        "implied": list(unpacker.tree.implied),
        "links": list(unpacker.links.items()),
    }


def pack_layer(request: dict[str, Any]) -> dict[str, Any]:
    """{"directory": a writable layer}; writes it as an image layer, packed with gzip."""
    confine.enter({"directory": request["directory"]})
    gzip = isal_zlib.compressobj(_FAST, wbits=_GZIP)
    _pack_all(Packer(lambda data: write_all(_STDOUT, gzip.compress(data)), whiteouts=True))
    write_all(_STDOUT, gzip.flush())
    return {}


def export(request: dict[str, Any]) -> dict[str, Any]:
    """{"view"}; writes everything in it as a tar stream."""
    confine.enter(request["view"])
    _pack_all(Packer(lambda data: write_all(_STDOUT, data)))
    return {}


def copy_up(request: dict[str, Any]) -> dict[str, Any]:
    """{"view", "path", "target": directory descriptor}; copies what is in the directory `path`, if there is one, with
    its attributes into the target."""
    confine.enter(request["view"])
    try:
        source = fs.in_root(os.open("/", _DIRECTORY), request["path"], _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    copy_tree(source, request["target"])
    return {}


def _pack_all(packer: Packer) -> None:
    packer.pack_below(os.open("/", _DIRECTORY), b"")
    packer.end()


_OPERATIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "unpack-layer": unpack_layer,
    "pack-layer": pack_layer,
    "export": export,
    "copy-up": copy_up,
    "stat-path": worker_archive.stat_path,
    "read-archive": worker_archive.read_archive,
    "write-archive": worker_archive.write_archive,
}
