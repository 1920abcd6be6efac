"""An image archive as it streams in: blobs land in scratch files at once, what they mean is worked out at the end.

Invariant: no name inside an archive ever becomes a name on disk. Members are kept under the digest of their bytes, links
are looked up in memory, documents have a size limit, and what an image says of its layers is proved by digests later.
Source: OCI image-layout.md; moby image spec v1.2 (`docker save` before version 25, skopeo's docker-archive).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from firkin.errors import Invalid
from firkin.images.make import packing
from firkin.oci.digest import Digest
from firkin.storage import tar_header
from firkin.storage.content import ContentStore
from firkin.storage.tar_header import show
from firkin.storage.tar_reader import TarReader

_MOST_MEMBERS = 100_000
_MOST_LINKS = 40


@dataclass(frozen=True)
class Member:
    """A regular file of the archive: the blob it has become."""

    digest: Digest
    size: int
    packing: str  # "", "+gzip" or "+zstd": what its first bytes say


@dataclass
class Archive:
    """The members by normalised name."""

    members: dict[str, Member] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Member | None:
        name = _normal(name)
        for _ in range(_MOST_LINKS):
            if name in self.members:
                return self.members[name]
            if name not in self.links:
                return None
            name = self.links[name]
        return None


def read_members(archive: Archive, content: ContentStore, chunks: Iterator[bytes]) -> None:
    """Read a plain tar stream to its end, every file into `content`; blocks, so run it in a thread. Raises `Invalid`, and
    what was read until then is in `archive`."""
    reader = TarReader(chunks)
    for entry in reader:
        name = _normal(show(entry.name))
        if len(archive.members) + len(archive.links) >= _MOST_MEMBERS:
            raise Invalid(f"load archive: more than {_MOST_MEMBERS} members")
        if entry.kind == tar_header.FILE and entry.sparse is None:
            archive.members[name] = _keep(content, reader, entry.size)
        elif entry.kind == tar_header.SYMLINK:
            archive.links[name] = _normal(posixpath.join(posixpath.dirname(name), show(entry.link)))
        elif entry.kind == tar_header.HARD_LINK:
            archive.links[name] = _normal(show(entry.link))


def _keep(content: ContentStore, reader: TarReader, size: int) -> Member:
    head = b""
    with content.ingest(size=size) as ingest:
        for _, piece in reader.data():
            head = head or bytes(piece[:8])
            ingest.write(piece)
        digest = ingest.commit()
    return Member(digest, size, packing(head))


def _normal(name: str) -> str:
    """Without `./`, `//`, a leading slash or `..`: just a key."""
    return posixpath.normpath("/" + name).lstrip("/")
