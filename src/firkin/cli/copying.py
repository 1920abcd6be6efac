"""What `cp` means, and the local half of it: which directory an archive goes to, what its entries are renamed to,
packing and unpacking.

The rules are those of cp(1) as docker documents them for `docker cp`: copying onto a directory puts the source inside
it, copying to a name that does not exist gives it that name, `SRC/.` means what is in SRC. An archive from a container
is hostile: nothing is written outside the target directory, and nothing through a symbolic link in it.
"""

from __future__ import annotations

import os
import tarfile

from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Place:
    """One end of a copy. `path` keeps a trailing `/` or `/.`, which mean something; `called` is the name a copy of it
    gets when that is not the path's own (a symbolic link that was followed)."""

    def __init__(self, path: str, exists: bool, is_directory: bool, called: str = "") -> None:
        self.path = path
        self.exists = exists
        self.is_directory = is_directory
        self.called = called

    def split(self) -> tuple[str, str]:
        """(parent, last name); `DIR/.` is (DIR, ".")."""
        clean = os.path.normpath(self.path)
        if self.path.endswith("/.") or self.path == ".":
            return clean, "."
        return os.path.dirname(clean) or ".", os.path.basename(clean)


def local_place(path: str, follow: bool = False) -> Place:
    """A path of this machine; with `follow` what a symbolic link points to, under the link's name."""
    if follow and os.path.islink(path):
        return Place(os.path.realpath(path), os.path.exists(path), os.path.isdir(path), os.path.basename(path))
    return Place(path, os.path.lexists(path), os.path.isdir(path))


def plan(source: Place, target: Place) -> tuple[str, tuple[str, str]]:
    """(directory to unpack in, (first name in the archive, what to call it instead)). Raises `Failure`."""
    name = source.split()[1]
    if target.exists and target.is_directory:
        return target.path, (name, source.called or name)
    directory, last = target.split()
    if target.exists and source.is_directory:
        raise Failure("cannot copy directory")
    if not target.exists and not source.is_directory and target.path.endswith("/"):
        raise Failure("no such directory")
    return directory, (name, last)


def pack(source: Place, renamed: tuple[str, str], write: Callable[[bytes], None]) -> int:
    """Send `source` as a tar archive to `write`; returns how many bytes that were."""
    sink = _Sink(write)
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        path = os.path.realpath(source.path) if source.is_directory and source.path.endswith("/") else source.path
        tar.add(path.rstrip("/") or "/", renamed[1])
    return sink.count


class _Sink:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.count = 0

    def write(self, data: bytes) -> int:
        self.count += len(data)
        self._write(data)
        return len(data)


def unpack(pieces: Iterator[bytes], directory: str, renamed: tuple[str, str]) -> int:
    """Extract an archive into `directory`, as the calling user; returns how many bytes it was."""
    if not os.path.isdir(directory):
        raise Failure(f'invalid output path: directory "{directory}" does not exist')
    source = _Source(pieces)
    try:
        with _Extractor.open(fileobj=source, mode="r|") as tar:  # type: ignore[call-overload]
            for member in tar:
                _extract(tar, member, directory, renamed)
    except (tarfile.TarError, OSError, LookupError, ValueError, OverflowError, EOFError) as error:
        raise Failure(f"unpack into {directory}: {error}") from None
    return source.count


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: str, renamed: tuple[str, str]) -> None:
    member.name = _rebased(member.name, renamed)
    if member.islnk():
        member.linkname = _rebased(member.linkname, renamed)
        _refuse_escape(directory, member.linkname)
    _refuse_escape(directory, os.path.dirname(member.name))
    place = os.path.join(directory, member.name)
    if member.isdir() and os.path.isdir(place):
        return
    if not member.islnk() or member.name != member.linkname:
        _make_room(place)
        tar.extract(member, directory, numeric_owner=True)


def _make_room(place: str) -> None:
    """Remove a file or link of the name: tarfile would write through a symbolic link to wherever it points, and into all
    hard links of a file."""
    if os.path.islink(place) or (os.path.lexists(place) and not os.path.isdir(place)):
        os.unlink(place)


def _rebased(name: str, renamed: tuple[str, str]) -> str:
    """Swap the first component; `.` in front of everything means no component at all."""
    old, new = renamed
    name = os.path.normpath(name)
    rest = name if old == "." else name.removeprefix(old).lstrip("/")
    return os.path.normpath(os.path.join(new, rest))


def _refuse_escape(directory: str, name: str) -> None:
    """Raises `Failure` when `name` leads out of `directory`, or through a symbolic link in it."""
    if name.startswith(("/", "../")) or name == "..":
        raise Failure(f"refusing to unpack {name}: it is outside of {directory}")
    path = directory
    for step in name.split("/"):
        path = os.path.join(path, step)
        if os.path.islink(path):
            raise Failure(f"refusing to unpack through the symbolic link {path}")


class _Extractor(tarfile.TarFile):
    """Leaves files with the user who copies them."""

    def chown(self, tarinfo: tarfile.TarInfo, targetpath: object, numeric_owner: bool) -> None:
        """Not done."""


class _Source:
    """A body that arrives in pieces, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self.count = 0

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size and (piece := next(self._pieces, b"")):
            self._buffer += piece
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self.count += len(data)
        return data
