"""Copy a directory's content into another, hard links, devices, extended attributes and all: packed by one thread,
unpacked by another, with a pipe between them."""

from __future__ import annotations

import os
import threading

from firkin.storage import attributes
from firkin.storage.files import write_all
from firkin.storage.pack import Packer
from firkin.storage.tar_reader import TarReader
from firkin.storage.unpack import Unpacker

_CHUNK = 1 << 16


def copy_tree(source: int, target: int) -> None:
    """Copy what is in the directory open as `source` into that open as `target`, and the directory's own attributes."""
    readable, writable = os.pipe()
    failures: list[BaseException] = []
    thread = threading.Thread(target=_pack, args=(source, writable, failures))
    thread.start()
    try:
        Unpacker(target).unpack(TarReader(iter(lambda: os.read(readable, _CHUNK), b"")))
    finally:
        os.close(readable)
        thread.join()
    if failures:
        raise failures[0]
    attributes.copy(source, target)


def _pack(source: int, pipe: int, failures: list[BaseException]) -> None:
    try:
        packer = Packer(lambda data: write_all(pipe, data))
        packer.pack_below(source, b"")
        packer.end()
    except BaseException as error:  # whatever it is belongs to the other thread
        failures.append(error)
    finally:
        os.close(pipe)
