"""Entries of an image layer: a tree, and what it says about the layers below.

Invariant: a layer is unpacked without looking at any other, so that all layers of an image can be unpacked at once;
what depends on the layers below is written down (`implied`, `links`) for `settle` to do.
Source: OCI image-spec layer.md, "Whiteouts"; kernel filesystems/overlayfs.rst, "whiteouts and opaque directories".
"""

from __future__ import annotations

import os
import stat

from firkin.errors import Invalid
from firkin.linux.overlay import OPAQUE
from firkin.storage import tar_header
from firkin.storage.tar_header import Entry, show
from firkin.storage.tar_reader import TarReader
from firkin.storage.tree import make_opaque
from firkin.storage.unpack import Unpacker

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_META = b".wh..wh."  # what aufs kept for itself


class LayerUnpacker(Unpacker):
    """Adds to the tree: `links`, hard links as (target, path) whose target must lie in a layer below."""

    def __init__(self, root: int) -> None:
        super().__init__(root)
        self.tree.implied[b""] = None
        self.links: dict[bytes, bytes] = {}  # path -> target

    def place_root(self, entry: Entry) -> None:
        if entry.kind != tar_header.DIRECTORY:
            raise Invalid("unpack layer: its root is not a directory")
        self.set_directory(self.tree.root, b"", entry)

    def place(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        above, _, name = path.rpartition(b"/")
        if name == _OPAQUE:
            os.setxattr(self.tree.directory(above), OPAQUE, b"y")
        elif name.startswith(_META) or above.startswith(_META):
            return
        elif name.startswith(_WHITEOUT):
            self._whiteout(above, name.removeprefix(_WHITEOUT))
        else:
            self.links.pop(path, None)
            super().place(path, entry, reader)

    def make_room(self, path: bytes, entry: Entry) -> bool:
        above, _, name = path.rpartition(b"/")
        if entry.kind == tar_header.DIRECTORY and self.tree.is_deleted(above, name):
            self.tree.restore(above, name)
        return super().make_room(path, entry)

    def link(self, target: bytes, path: bytes) -> None:
        try:
            if target not in self.links:
                return super().link(target, path)
        except FileNotFoundError:
            pass
        self.links[path] = target

    def _whiteout(self, above: bytes, name: bytes) -> None:
        """Delete `name` of the layers below; what this layer itself has of the name stays."""
        if name in (b"", b".", b".."):
            raise Invalid(f"unpack layer: whiteout of {show(above + b'/' + name)!r}")
        parent = self.tree.directory(above)
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                make_opaque(parent, name)
