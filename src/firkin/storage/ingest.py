"""A blob on its way into the content store, and those who read it meanwhile.

Invariant: bytes are only appended, or all taken back by `restart`; the file gets its place in the store when size and
digest agree, in one rename. A follower never takes a part for the whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from types import TracebackType

from firkin.errors import Invalid, Unavailable, reason
from firkin.oci.digest import Digest
from firkin.storage.files import remove_if_there, write_all

_STEP = 1 << 20  # bytes between two wake-ups of a follower


class TakenBack(Unavailable):
    """What was read of an arriving blob is not a part of it after all."""


class Ingest:
    """Use it as a context. On leaving uncommitted, a blob with a digest keeps its bytes for the next attempt."""

    def __init__(self, path: str, place: Callable[[Digest], str], digest: Digest | None, size: int | None) -> None:
        self.digest, self.size = digest, size
        self.offset = 0  # bytes so far
        self.committed = self.closed = False
        self.restarts = 0
        self._path, self._place = path, place
        self._followers: list[asyncio.Future[None]] = []
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._hash = hashlib.sha256()
        while data := os.read(self._fd, 1 << 20):
            self._hash.update(data)
            self.offset += len(data)

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises `Unavailable` when the disk is full, `Invalid` when there is more than was promised."""
        if self.size is not None and self.offset + len(data) > self.size:
            raise Invalid(f"store {self._name}: more than the {self.size} bytes promised")
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise Unavailable(f"store {self._name}: {reason(error)}")
        self._hash.update(data)
        self.offset += len(data)
        self._wake()

    def restart(self) -> None:
        """Take back all bytes."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.offset, self._hash = 0, hashlib.sha256()
        self.restarts += 1
        self._wake()

    def commit(self) -> Digest:
        """Verify and publish. Raises `Invalid`, and forgets the bytes, when they are not what was promised."""
        digest = Digest("sha256:" + self._hash.hexdigest())
        wrong = ""
        if self.size is not None and self.offset != self.size:
            wrong = f"{self.offset} bytes instead of {self.size}"
        elif self.digest and digest != self.digest:
            wrong = f"digest of its bytes is {digest}"
        if wrong:
            self.restart()
            raise Invalid(f"store {self._name}: {wrong}")
        os.rename(self._path, self._place(digest))
        self.digest, self.committed = digest, True
        self._wake()
        return digest

    def follow(self) -> Follower:
        return Follower(self, os.open(self._path, os.O_RDONLY | os.O_CLOEXEC))

    async def changed(self) -> None:
        """Wait for the next `write`, `restart`, `commit` or end."""
        future = asyncio.get_running_loop().create_future()
        self._followers.append(future)
        await future

    def __enter__(self) -> Ingest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.closed = True
        os.close(self._fd)
        if not self.committed and not (self.digest and self.offset):
            remove_if_there(self._path)
        self._wake()

    @property
    def _name(self) -> str:
        return f"blob {self.digest}" if self.digest else "blob"

    def _wake(self) -> None:
        waiting, self._followers = self._followers, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class Follower:
    """Reads a blob while it arrives. `fd` is the caller's to close."""

    def __init__(self, ingest: Ingest, fd: int) -> None:
        self.fd = fd
        self._ingest = ingest
        self._restarts = ingest.restarts
        self._told = 0

    async def grown(self) -> bool:
        """Wait until a good piece more is in the file; False once it is whole and verified.
        Raises `TakenBack` when what was read so far is worth nothing, because the rest will not come or differs."""
        ingest = self._ingest
        while True:
            if ingest.restarts != self._restarts or (ingest.closed and not ingest.committed):
                raise TakenBack(f"read blob {ingest.digest}: its download failed")
            if ingest.committed:
                return False
            if ingest.offset >= self._told + _STEP:
                self._told = ingest.offset
                return True
            await ingest.changed()
