"""Archives made by hand, and the parts of an engine that this area is about."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from firkin.oci.digest import Digest
from firkin.paths import Layout
from firkin.storage.content import ContentStore
from firkin.storage.layers import Layers, Unpacked
from firkin.storage.snapshots import Snapshots

Member = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes | None = None, **fields: object) -> Member:
    """One entry; `type` and any other TarInfo field by keyword."""
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    if data is None:
        return info
    info.size = len(data)
    return info, data


def folder(name: str, **fields: object) -> Member:
    return member(name, type=tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def link(name: str, target: str, **fields: object) -> Member:
    return member(name, type=tarfile.SYMTYPE, linkname=target, **fields)


def hard_link(name: str, target: str) -> Member:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def tar_of(*members: Member) -> bytes:
    """A pax archive of exactly these entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in members:
            info, data = one if isinstance(one, tuple) else (one, b"")
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@dataclass
class Store:
    """The parts of an engine that this area is about."""

    layout: Layout
    content: ContentStore
    layers: Layers
    snapshots: Snapshots

    def put(self, data: bytes) -> Digest:
        with self.content.ingest() as ingest:
            ingest.write(data)
            return ingest.commit()

    async def layer(self, data: bytes, parent: str = "") -> Digest:
        """Unpack and settle one archive; its chain id."""
        unpacked = await self.layers.unpack(self.put(data))
        return (await self.layers.settle(unpacked, parent)).chain_id

    async def chain(self, archives: Iterable[bytes]) -> tuple[str, ...]:
        """Several, the bottom one first, unpacked a few at a time."""
        few = asyncio.Semaphore(4)

        async def unpack(data: bytes) -> Unpacked:
            async with few:
                return await self.layers.unpack(self.put(data))

        chain: list[str] = []
        for unpacked in await asyncio.gather(*map(unpack, archives)):
            chain.append((await self.layers.settle(unpacked, chain[-1] if chain else "")).chain_id)
        return tuple(chain)

    def files(self, chain: str) -> Path:
        return Path(self.layers.directory(chain)) / "diff"


def open_store(root: Path) -> Store:
    layout = Layout(str(root / "data"), str(root / "run"))
    Path(layout.staging).mkdir(parents=True, exist_ok=True)
    content = ContentStore(layout)
    layers = Layers(layout, content)
    return Store(layout, content, layers, Snapshots(layout, layers))
