"""Writable layers: for each container a directory that overlay puts on top of its image's layers.

Invariant: `snapshots/CONTAINER-ID` holds `upper`, `work` and `top`, a symlink whose text is the chain id of the image's
top layer; nothing here is ever mounted by the daemon. The container's start mounts it in a mount namespace of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from firkin.errors import Internal, NotFound, reason
from firkin.linux import overlay
from firkin.paths import Layout
from firkin.storage import attributes
from firkin.storage.archive import Root
from firkin.storage.changes import Change, changes
from firkin.storage.confine import Bind
from firkin.storage.files import make_top_directory
from firkin.storage.init_layer import make_init_layer
from firkin.storage.layers import LayerRecord, Layers
from firkin.storage.trash import Trash
from firkin.storage.usage import usage
from firkin.storage.worker import output

_NO_IMAGE = "-"  # what `top` says for an image without layers: a symlink's text cannot be empty
_ID_LENGTH = 64  # of a container; everything else in the directory has a shorter name
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class OverlayMount:
    """What overlay needs: layers to read, top first, and where to write."""

    lowers: tuple[str, ...]
    upper: str
    work: str
    options: tuple[str, ...] = overlay.OPTIONS


class Snapshots:
    """All writable layers of one engine."""

    def __init__(self, layout: Layout, layers: Layers) -> None:
        self._root, self._layers = layout.snapshots, layers
        make_top_directory(self._root)
        self._staging = layout.staging
        self._trash = Trash(self._root)
        self._lowers: dict[str, tuple[str, ...]] = {}  # by top layer; a layer under a container never goes away

    def prepare(self, container_id: str, chain: tuple[str, ...]) -> OverlayMount:
        """Make an empty writable layer on the image whose chain ids are `chain`, bottom first.
        Raises `NotFound` for an unknown layer, `Internal` when the disk is full."""
        top = chain[-1] if chain else ""
        lowers = self._lowers_of(top)
        path = os.path.join(self._root, container_id)
        try:
            os.mkdir(path, 0o711)
            os.symlink(top or _NO_IMAGE, os.path.join(path, "top"))
            for name in ("upper", "work"):
                os.mkdir(os.path.join(path, name))
            _copy_root(lowers[0], os.path.join(path, "upper"))
        except OSError as error:
            raise Internal(f"make writable layer of {container_id}: {reason(error)}")
        return OverlayMount(lowers, os.path.join(path, "upper"), os.path.join(path, "work"))

    def mount(self, container_id: str) -> OverlayMount:
        """What to mount as the root of this container; raises `NotFound`."""
        path = os.path.join(self._root, container_id)
        return OverlayMount(self._lowers_of(self.top(container_id)), os.path.join(path, "upper"), os.path.join(path, "work"))

    def allow_remount(self, container_id: str) -> None:
        """Accept what a volatile mount may have lost: its mark, which forbids a second mount, is taken away."""
        shutil.rmtree(os.path.join(self._root, container_id, "work", "work", "incompat"), ignore_errors=True)

    def top(self, container_id: str) -> str:
        """The chain id it lies on, "" for none; raises `NotFound`."""
        try:
            return os.readlink(os.path.join(self._root, container_id, "top")).replace(_NO_IMAGE, "")
        except FileNotFoundError:
            raise NotFound(f"writable layer of {container_id} not found")

    def layers_of(self, container_id: str) -> tuple[str, ...]:
        """The directories below its writable layer, top first; raises `NotFound`."""
        return self._lowers_of(self.top(container_id))

    def layer(self, chain: str) -> LayerRecord:
        """What is known of the layer with that chain id; raises `NotFound`."""
        return self._layers.get(chain)

    def in_use(self) -> set[str]:
        """The chain ids of the top layers that containers stand on."""
        return {self.top(name) for name in os.listdir(self._root) if len(name) == _ID_LENGTH} - {""}

    def remove(self, container_id: str) -> None:
        """Remove the writable layer; a missing one is fine. It is gone at once, its files a moment later."""
        try:
            self._trash.discard(os.path.join(self._root, container_id))
        except FileNotFoundError:
            pass

    def keep_only(self, container_ids: set[str]) -> None:
        """Remove the writable layers of all other containers: a daemon was killed while it made or removed them."""
        for name in os.listdir(self._root):
            if len(name) == _ID_LENGTH and name not in container_ids:
                self.remove(name)

    def size(self, container_id: str) -> int:
        """Bytes of the files in the writable layer; takes as long as reading the directories takes."""
        return usage(os.path.join(self._root, container_id, "upper"))

    def changes(self, container_id: str) -> list[Change]:
        """What differs from the image, sorted by path: see `changes.changes`."""
        found = self.mount(container_id)
        return changes(found.upper, found.lowers)

    def root(self, container_id: str, binds: Sequence[Bind] = (), read_only: bool = False) -> Root:
        """The root of a container that does not run, for the functions of `archive`. `binds` are the mounts to show in it;
        raises `NotFound`."""
        found = self.mount(container_id)
        return Root(
            {
                "staging": self._staging,
                "lowers": list(found.lowers),
                "upper": found.upper,
                "work": found.work,
                "binds": list(binds),
                "read_only": read_only,
            },
            tuple(source for source, _, _ in binds if isinstance(source, int)),
        )

    def export(self, container_id: str) -> AsyncIterator[bytes]:
        """The container's whole root, mounts left out, as a tar stream; raises `NotFound`."""
        return output("export", {"view": self.root(container_id).view})

    def diff(self, container_id: str) -> AsyncIterator[bytes]:
        """The writable layer as it is now, as an image layer (tar, gzip); raises `NotFound`."""
        return output("pack-layer", {"directory": self.mount(container_id).upper})

    def _lowers_of(self, top: str) -> tuple[str, ...]:
        lowers = self._lowers.get(top)
        if lowers is None or not os.path.isdir(lowers[0]):
            image = self._layers.stack(top)
            init = os.path.join(self._layers.directory(top), "init") if top else os.path.join(self._root, "init")
            if not os.path.isdir(init):
                make_init_layer(init, image)
            lowers = self._lowers[top] = (init, *image)
        return lowers


def _copy_root(source: str, target: str) -> None:
    """The container's root directory looks like the image's."""
    source_fd, target_fd = os.open(source, _DIRECTORY), os.open(target, _DIRECTORY)
    try:
        attributes.copy(source_fd, target_fd)
    finally:
        os.close(source_fd)
        os.close(target_fd)
