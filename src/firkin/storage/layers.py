"""Image layers, unpacked once and then only read: `layers/CHAIN-ID-HEX/diff`, and `layer.json` beside it.

Invariant: a directory that has its chain id for a name is whole, verified and settled on its parents; everything under
another name is work in progress and is removed at the next start. Since a chain id names a layer together with all below
it, two images that share layers share directories.
Source: OCI image-spec config.md, "Layer ChainID".
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from firkin.errors import Conflict, FirkinError, NotFound
from firkin.oci.digest import Digest, hex_of
from firkin.oci.image import chain_id
from firkin.paths import Layout
from firkin.storage.content import ContentStore
from firkin.storage.files import make_top_directory
from firkin.storage.records import read_record, write_record
from firkin.storage.settle import settle
from firkin.storage.trash import Trash
from firkin.storage.unpack import explained
from firkin.storage.unpacking import Unpacked, unpack

_TEMPORARY = "unpacking-"
_RECORD = "layer.json"
_HEX_DIGITS = 64


@dataclass(frozen=True)
class LayerRecord:
    """One layer; `parent` is the chain id below it, "" for the first; `size` counts its files' bytes."""

    chain_id: Digest
    parent: Digest | str
    diff_id: Digest
    size: int


@dataclass(frozen=True)
class Limits:
    """How large a layer may become: `ratio` times its blob, or `floor` bytes if that is more."""

    ratio: int = 200
    floor: int = 1 << 30

    def of(self, blob_size: int) -> int:
        return max(self.floor, self.ratio * blob_size)


class Layers:
    """All layers of one engine."""

    def __init__(self, layout: Layout, content: ContentStore, limits: Limits = Limits()) -> None:
        self._root, self._content, self._limits = layout.layers, content, limits
        make_top_directory(self._root)
        self._trash = Trash(self._root, stale=(_TEMPORARY,))
        self._records = self._load()

    def has(self, chain: Digest | str) -> bool:
        return chain in self._records

    def get(self, chain: Digest | str) -> LayerRecord:
        """Raises `NotFound`."""
        try:
            return self._records[Digest(chain)]
        except KeyError:
            raise NotFound(f"layer {chain} not found")

    def records(self) -> list[LayerRecord]:
        return list(self._records.values())

    def directory(self, chain: Digest | str) -> str:
        """Where the layer is; its files are in `diff` below."""
        return os.path.join(self._root, hex_of(Digest(chain)))

    def stack(self, top: Digest | str) -> list[str]:
        """The layer's files and those of all below it, as directories, top first."""
        directories = []
        while top:
            directories.append(os.path.join(self.directory(top), "diff"))
            top = self.get(top).parent
        return directories

    async def unpack(self, blob: Digest, diff_id: Digest | None = None) -> Unpacked:
        """Unpack a blob of the content store, or one that is arriving there while it arrives. Needs no other layer, so
        any number may go on at once (each takes a processor); `settle` or `discard` what comes back.

        Raises `Invalid` for a broken or hostile archive or another `diff_id`, `Unavailable` for a full disk or a
        download that fails, `NotFound` when the blob neither is here nor arrives.
        """
        directory = os.path.join(self._root, _TEMPORARY + secrets.token_hex(8))
        try:
            return await unpack(self._content, blob, diff_id, directory, self._limits.of)
        except BaseException:
            self._discard(directory)
            raise

    async def settle(self, unpacked: Unpacked, parent: Digest | str = "") -> LayerRecord:
        """Make it the layer on top of `parent` ("" for none), which must be there; if that layer exists, keep that."""
        record = LayerRecord(
            chain_id(Digest(parent) if parent else None, unpacked.diff_id), parent, unpacked.diff_id, unpacked.size
        )
        below = self.stack(parent)
        if self.has(record.chain_id):
            self.discard(unpacked)
            return self.get(record.chain_id)
        try:
            await asyncio.to_thread(settle, os.path.join(unpacked.directory, "diff"), below, unpacked.implied, unpacked.links)
            write_record(os.path.join(unpacked.directory, _RECORD), record, durable=True)
            os.rename(unpacked.directory, self.directory(record.chain_id))
        except BaseException as error:
            self.discard(unpacked)
            raise explained(b"layer", error) if isinstance(error, OSError) else error
        self._records[record.chain_id] = record
        return record

    def discard(self, unpacked: Unpacked) -> None:
        """Forget a layer that was not settled."""
        self._discard(unpacked.directory)

    async def remove(self, chain: Digest | str) -> None:
        """Remove a layer nothing uses. Raises `NotFound`, or `Conflict` when another layer lies on it."""
        record = self.get(chain)
        above = next((other.chain_id for other in self._records.values() if other.parent == chain), None)
        if above:
            raise Conflict(f"remove layer {chain}: layer {above} lies on it")
        del self._records[record.chain_id]
        self._trash.discard(self.directory(chain))

    async def collect(self, in_use: Iterable[str]) -> list[LayerRecord]:
        """Remove every layer but those `in_use` and what they lie on; what was removed, top layers first."""
        needed: set[str] = set()
        for chain in in_use:
            while chain and chain not in needed and self.has(chain):
                needed.add(chain)
                chain = self.get(chain).parent
        children_first = sorted(self._records.values(), key=lambda record: len(self.stack(record.chain_id)), reverse=True)
        unneeded = [record for record in children_first if record.chain_id not in needed]
        for record in unneeded:
            await self.remove(record.chain_id)
        return unneeded

    def _discard(self, directory: str) -> None:
        try:
            self._trash.discard(directory)
        except FileNotFoundError:  # it failed before there was anything
            pass

    def _load(self) -> dict[Digest, LayerRecord]:
        """Every layer on disk; one whose record cannot be read is none, and goes."""
        records = {}
        for name in os.listdir(self._root):
            if len(name) == _HEX_DIGITS:
                try:
                    record = read_record(os.path.join(self._root, name, _RECORD), LayerRecord)
                    records[record.chain_id] = record
                except FirkinError:
                    self._discard(os.path.join(self._root, name))
        return records
