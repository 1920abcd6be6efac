"""What an unpacked layer still needs from the layers below it, before it becomes one of them.

Directories that its archive implied but did not describe take the attributes they have below, and hard links to files
below get those files, both as overlay's own copy-up would have done had the archive been unpacked on top.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence

from firkin.errors import Invalid
from firkin.linux import holes
from firkin.storage import attributes
from firkin.storage.lookup import lookup
from firkin.storage.tar_header import show
from firkin.storage.tree import Tree

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def settle(directory: str, below: Sequence[str], implied: Iterable[bytes], links: Iterable[tuple[bytes, bytes]]) -> None:
    """Complete the layer unpacked in `directory`; `below` are its parents, top first. `links` are (path, target).
    Raises `Invalid` for a link to what is not there."""
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = Tree(root)
    try:
        tree.implied.update(dict.fromkeys(implied))
        for path, target in links:
            _link(tree, below, path, target)
        copy_attributes(tree, below)
    finally:
        tree.forget()
        os.close(root)


def copy_attributes(tree: Tree, below: Sequence[str]) -> None:
    """Give each implied directory of `tree` the attributes it has below, deepest first: a time set stays set."""
    for path in sorted(tree.implied, key=lambda path: path.count(b"/") + bool(path), reverse=True):
        source = lookup(below, path)
        if source is None:
            continue
        try:
            if stat.S_ISDIR(os.fstat(source).st_mode):
                attributes.copy(source, tree.directory(path))
        finally:
            os.close(source)


def _link(tree: Tree, below: Sequence[str], path: bytes, target: bytes) -> None:
    above, _, target_name = target.rpartition(b"/")
    try:
        os.stat(target_name, dir_fd=tree.directory(above), follow_symlinks=False)
    except FileNotFoundError:
        _copy_up(tree, below, target)
    parent = tree.find(above)
    try:
        above, _, name = path.rpartition(b"/")
        os.link(target_name, name, src_dir_fd=parent, dst_dir_fd=tree.directory(above), follow_symlinks=False)
    finally:
        os.close(parent)


def _copy_up(tree: Tree, below: Sequence[str], path: bytes) -> None:
    """Copy the file at `path` from the layers below into `tree`."""
    source = lookup(below, path)
    if source is None:
        raise Invalid(f"unpack layer: hard link to {show(path)!r}, which is not in the image")
    above, _, name = path.rpartition(b"/")
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise Invalid(f"unpack layer: hard link to {show(path)!r}, which is not a file of the layers below")
        with (
            open(f"/proc/self/fd/{source}", "rb") as original,
            open(os.open(name, _NEW_FILE, 0o600, dir_fd=tree.directory(above)), "wb") as copy,
        ):
            holes.copy(original.fileno(), copy.fileno())
            attributes.copy(original.fileno(), copy.fileno())
    finally:
        os.close(source)
