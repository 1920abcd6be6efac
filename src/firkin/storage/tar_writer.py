"""Tar headers to write: ustar, with a pax header before it for whatever ustar cannot say.

Invariant: equal entries give equal bytes, so that a layer packed twice has one digest.
Source: POSIX.1-2017 `pax`; star's SCHILY.xattr keys, which every reader of images knows; GNU tar manual, "Storing Sparse
Files" (pax 1.0, which GNU tar, libarchive, Go and Python read).
"""

from __future__ import annotations

from firkin.storage.tar_header import BLOCK, DIRECTORY, PAX, Entry

END = bytes(2 * BLOCK)
_CONDENSED = b"GNUSparseFile.0/"
_LARGEST = {8: 0o7777777, 12: 0o77777777777}  # what an octal field of so many bytes holds


def header(entry: Entry) -> bytes:
    """The block or blocks that announce `entry`; its data and their padding follow: of a sparse one, that of each run. Times
    are cut to whole seconds, as Docker's own layers have them."""
    if entry.sparse is not None:
        return _sparse(entry, entry.sparse)
    return _plain(entry, {})


def _sparse(entry: Entry, runs: list[tuple[int, int]]) -> bytes:
    """The map is the beginning of the data. The name is one that a reader without an idea of all this may well make."""
    numbers = [len(runs) + 1, *(number for run in runs for number in run), entry.size, 0]
    text = b"".join(b"%d\n" % number for number in numbers)
    about = Entry(
        _CONDENSED + entry.name.rpartition(b"/")[2][:80], entry.kind, entry.mode, entry.uid, entry.gid, 0, entry.mtime
    )
    about.xattrs = entry.xattrs
    about.size = len(text) + len(padding(len(text))) + sum(length for _, length in runs)
    more = {b"major": b"1", b"minor": b"0", b"name": entry.name, b"realsize": b"%d" % entry.size}
    return _plain(about, {b"GNU.sparse." + key: value for key, value in more.items()}) + text + padding(len(text))


def _plain(entry: Entry, more: dict[bytes, bytes]) -> bytes:
    """With `more` records in the pax header."""
    name = entry.name + b"/" if entry.kind == DIRECTORY and not entry.name.endswith(b"/") else entry.name
    records = more | {b"SCHILY.xattr." + key: value for key, value in entry.xattrs.items()}
    prefix, short = _split(name)
    if len(short) > 100:
        records[b"path"] = name
    if len(entry.link) > 100:
        records[b"linkpath"] = entry.link
    seconds = entry.mtime // 1_000_000_000
    numbers = ((b"uid", entry.uid, 8), (b"gid", entry.gid, 8), (b"size", entry.size, 12), (b"mtime", seconds, 12))
    for key, value, width in numbers:
        if not 0 <= value <= _LARGEST[width]:
            records[key] = b"%d" % value
    block = _block(short[:100], prefix, entry.kind, entry, max(seconds, 0))
    return _extended(records) + block if records else block


def padding(size: int) -> bytes:
    """What makes `size` bytes of data a whole number of blocks."""
    return bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """`name` as ustar's prefix and name; the name is longer than 100 bytes when it does not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, 156)
    if cut > 0 and 0 < len(name) - cut - 1 <= 100:
        return name[:cut], name[cut + 1 :]
    return b"", name


def _extended(records: dict[bytes, bytes]) -> bytes:
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    about = Entry(b"PaxHeaders.0/entry", PAX, 0o644, 0, 0, len(data), 0)
    return _block(about.name, b"", PAX, about, 0) + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, the length counting its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _block(name: bytes, prefix: bytes, kind: bytes, entry: Entry, seconds: int) -> bytes:
    def octal(value: int, width: int) -> bytes:
        return b"%0*o\0" % (width - 1, value if 0 <= value <= _LARGEST[width] else 0)

    fields = (
        (name.ljust(100, b"\0"), octal(entry.mode, 8), octal(entry.uid, 8), octal(entry.gid, 8)),
        (octal(entry.size, 12), octal(seconds, 12), b" " * 8, kind, entry.link[:100].ljust(100, b"\0")),
        (b"ustar\x0000", bytes(64), octal(entry.major, 8), octal(entry.minor, 8), prefix.ljust(155, b"\0"), bytes(12)),
    )
    block = b"".join(part for row in fields for part in row)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
