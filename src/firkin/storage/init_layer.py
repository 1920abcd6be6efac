"""The mount points every container needs, as a layer of their own between the image and the writable layer.

Invariant: holds only what the image lacks. What the runtime mounts over is here, not in the writable layer, so that
`docker diff` and `docker commit` never see it. Source: moby `daemon/initlayer/setup_unix.go`.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence

from firkin.storage.lookup import lookup
from firkin.storage.settle import copy_attributes
from firkin.storage.tree import Tree

_DIRECTORIES = (b"dev/pts", b"dev/shm", b"proc", b"sys")
_FILES = (b".dockerenv", b"dev/console", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf")
_LINKS = ((b"etc/mtab", b"/proc/mounts"),)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make_init_layer(directory: str, image: Sequence[str]) -> None:
    """Make `directory` the init layer for the layers `image`, top first. Work that a crash left there is redone."""
    temporary = directory + ".tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    os.mkdir(temporary)
    os.chmod(temporary, 0o755)
    root = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = Tree(root)
    tree.implied[b""] = None
    try:
        for path in _DIRECTORIES:
            if _lacks(image, path):
                tree.directory(path)
        for path in _FILES:
            if _lacks(image, path):
                parent, name = _place(tree, path)
                os.close(os.open(name, _NEW_FILE, 0o755, dir_fd=parent))
        for path, target in _LINKS:
            if _lacks(image, path):
                parent, name = _place(tree, path)
                os.symlink(target, name, dir_fd=parent)
        copy_attributes(tree, image)
    finally:
        tree.forget()
        os.close(root)
    os.rename(temporary, directory)


def _place(tree: Tree, path: bytes) -> tuple[int, bytes]:
    above, _, name = path.rpartition(b"/")
    return tree.directory(above), name


def _lacks(image: Sequence[str], path: bytes) -> bool:
    """Whether the image has nothing at `path`, and a directory or nothing above it (a symlink there is left to those
    who follow it inside the container)."""
    above = path.rpartition(b"/")[0]
    parent = lookup(image, above)
    try:
        if parent is not None and not stat.S_ISDIR(os.fstat(parent).st_mode):
            return False
    finally:
        if parent is not None:
            os.close(parent)
    found = lookup(image, path)
    if found is not None:
        os.close(found)
    return found is None
