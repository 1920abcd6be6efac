"""The content store: blobs under the name of their own digest, `blobs/sha256/HEX`.

Invariant: a file that has its name in the store holds exactly the bytes the name promises. New bytes grow in `ingest/HEX`
(resumable after any crash, because the name says what they are to become) and are renamed once size and digest agree.
Source: OCI image-layout.md, "Blobs".
"""

from __future__ import annotations

import os
import secrets

from firkin.errors import Conflict, NotFound
from firkin.oci.digest import Digest, digest_of, hex_of, parse_digest
from firkin.paths import Layout
from firkin.storage.files import sweep_unfinished, write_file
from firkin.storage.ingest import Ingest


class ContentStore:
    """All blobs of one engine. Not for two processes at a time."""

    def __init__(self, layout: Layout) -> None:
        self._directory = os.path.join(layout.blobs, "sha256")
        self._ingest = layout.ingest
        self._arriving: dict[Digest, Ingest] = {}
        os.makedirs(self._directory, 0o700, exist_ok=True)
        sweep_unfinished(self._directory)
        os.makedirs(self._ingest, 0o700, exist_ok=True)

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be."""
        return os.path.join(self._directory, hex_of(digest))

    def has(self, digest: Digest) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """In bytes; raises `NotFound`."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise NotFound(f"blob {digest} not found")

    def open(self, digest: Digest) -> int:
        """A descriptor to read the blob; the caller closes it. Raises `NotFound`."""
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"blob {digest} not found")

    def read(self, digest: Digest) -> bytes:
        """All of a small blob (a manifest, a configuration); raises `NotFound`."""
        with os.fdopen(self.open(digest), "rb") as file:
            return file.read()

    def put_bytes(self, data: bytes) -> Digest:
        """Keep `data`, durably; its digest."""
        digest = digest_of(data)
        if not self.has(digest):
            write_file(self.path(digest), data, durable=True)
        return digest

    def delete(self, digest: Digest) -> int:
        """Remove the blob, if it is there; the bytes that frees."""
        try:
            size = os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return 0
        os.unlink(self.path(digest))
        return size

    def list(self) -> list[Digest]:
        """Every blob, in no order."""
        return [parse_digest("sha256:" + name) for name in os.listdir(self._directory) if len(name) == 64]

    def ingest(self, digest: Digest | None = None, size: int | None = None) -> Ingest:
        """Begin, or go on with, a blob that is to be `size` bytes (None: any number) with this digest (None: any).
        Raises `Conflict` while another ingest of the same blob is open."""
        earlier = self.arriving(digest) if digest else None
        if earlier:
            raise Conflict(f"store blob {digest}: it is being stored already")
        name = hex_of(digest) if digest else secrets.token_hex(16)
        ingest = Ingest(os.path.join(self._ingest, name), self.path, digest, size)
        if digest:
            self._arriving[digest] = ingest
        return ingest

    def arriving(self, digest: Digest) -> Ingest | None:
        """The ingest that is bringing this blob in at the moment."""
        ingest = self._arriving.get(digest)
        if ingest and ingest.closed:
            del self._arriving[digest]
            return None
        return ingest

    def sweep(self) -> int:
        """Remove what broken downloads left, except those under way; the bytes that frees."""
        freed = 0
        busy = {hex_of(digest) for digest in list(self._arriving) if self.arriving(digest)}
        for entry in os.scandir(self._ingest):
            if entry.name not in busy:
                freed += entry.stat().st_size
                os.unlink(entry.path)
        return freed
