"""Which blobs and layers are still needed, and the removal of those that are not.

Invariant: nothing an image names, a container stands on or an operation under way holds is ever removed. Operations hold
what they bring in from the first byte until the image that needs it is on record; what is left when they fail goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from firkin.images.store import Image, ImageStore
from firkin.oci.digest import Digest
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers

Hold = Callable[[Iterable[Digest]], None]


@dataclass
class Collected:
    """What was removed: chain ids, top first, and their size in bytes."""

    layers: list[Digest] = field(default_factory=list)
    freed: int = 0


class Collector:
    """Keeps the count of holds; `layers_in_use` tells the top chain ids under containers."""

    def __init__(
        self, store: ImageStore, content: ContentStore, layers: Layers, layers_in_use: Callable[[], Iterable[str]]
    ) -> None:
        self._store, self._content, self._layers, self._in_use = store, content, layers, layers_in_use
        self._held: Counter[Digest] = Counter()
        self._suspects: list[Digest] = []

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[Hold]:
        """A scope within which digests and chain ids given to the yielded function are safe; then the unneeded ones go."""
        mine: list[Digest] = []

        def hold(names: Iterable[Digest]) -> None:
            held = list(names)
            mine.extend(held)
            self._held.update(held)

        try:
            yield hold
        finally:
            self._held.subtract(mine)
            suspects, self._suspects = self._suspects, []
            await self.collect([*suspects, *mine])

    def suspect(self, names: Iterable[Digest]) -> None:
        """What an image on record needed until now: looked at when the present operation ends."""
        self._suspects += names

    async def collect_image(self, image: Image) -> Collected:
        """Remove what only this image, already off the record, needed."""
        return await self.collect([image.id, image.manifest_digest, *(blob.digest for blob in image.layers), *image.chain])

    async def collect(self, candidates: Iterable[Digest]) -> Collected:
        """Remove those of `candidates` (blobs, layers; a layer after the one it lies on) that nothing needs."""
        needed, gone = self._needed(), Collected()
        for name in reversed(list(dict.fromkeys(candidates))):
            if name in needed:
                continue
            self._content.delete(name)
            if self._layers.has(name):
                gone.freed += self._layers.get(name).size
                await self._layers.remove(name)
                gone.layers.append(name)
        return gone

    async def collect_all(self) -> None:
        """Remove every blob and layer that nothing needs; for the start, when nothing is under way."""
        layers = sorted(self._layers.records(), key=lambda layer: len(self._layers.stack(layer.chain_id)))
        await self.collect([*self._content.list(), *(layer.chain_id for layer in layers)])

    def _needed(self) -> set[str]:
        needed: set[str] = {name for name, count in self._held.items() if count > 0}
        for image in self._store:
            needed.update((image.id, image.manifest_digest, *(blob.digest for blob in image.layers), *image.chain))
        for chain in self._in_use():
            while chain and chain not in needed and self._layers.has(chain):
                needed.add(chain)
                chain = self._layers.get(chain).parent
        return needed
