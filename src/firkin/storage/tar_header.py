"""One tar header block, and the records that extend it, as values: pure parsing, no input or output.

Invariant: every number and name that leaves here is in range, whatever bytes came in; anything else is `Invalid`.
Formats: v7, ustar and pax (POSIX.1-2017 `pax`, "ustar Interchange Format"), GNU (tar(5), GNU tar manual appendix D).
Names stay bytes: a Linux file name has no encoding.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

from firkin.errors import Invalid

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
PAX, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK, GNU_SPARSE, GNU_VOLUME = b"x", b"g", b"L", b"K", b"S", b"V"

_LARGEST = 2**63 - 1  # what off_t and time_t hold
_REGULAR = (b"\0", b"7")  # v7's way to say file; "contiguous file", which every reader takes for one
_WITH_DATA = (FILE, GNU_SPARSE, PAX, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK)
_KNOWN = (*_WITH_DATA, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO, GNU_VOLUME)


class Entry:
    """One member of an archive. `size` is the file's; `stored` is how many bytes of it follow in the archive
    (fewer when `sparse`, which lists the (offset, length) of each stored run). `mtime` is in nanoseconds.

    Not a dataclass: that module is a quarter of what a worker process would import.
    """

    __slots__ = ("gid", "kind", "link", "major", "minor", "mode", "mtime", "name", "size", "sparse", "stored", "uid", "xattrs")

    def __init__(self, name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, mtime: int) -> None:
        self.name, self.kind, self.mode, self.uid, self.gid, self.mtime = name, kind, mode, uid, gid, mtime
        self.size = self.stored = size
        self.sparse: list[tuple[int, int]] | None = None
        self.link = b""
        self.major = self.minor = 0
        self.xattrs: dict[bytes, bytes] = {}


def parse(block: bytes) -> Entry:
    """The 512 bytes of `block` as an entry, before any extension is applied."""
    recorded = number(block[148:156])
    if sum(block) - sum(block[148:156]) + 256 != recorded:
        raise Invalid("read tar header: wrong checksum")
    kind = block[156:157]
    name = _string(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = _string(block[345:500]) + b"/" + name
    if kind in _REGULAR:
        kind = DIRECTORY if kind == b"\0" and name.endswith(b"/") else FILE
    if kind not in _KNOWN:
        raise Invalid(f"read tar header of {show(name)}: unknown type {kind!r}")
    entry = Entry(
        name=name,
        kind=kind,
        mode=number(block[100:108]) & 0o7777,
        uid=number(block[108:116]),
        gid=number(block[116:124]),
        size=number(block[124:136]) if kind in _WITH_DATA else 0,
        mtime=number(block[136:148], signed=True) * 1_000_000_000,
    )
    if kind in (HARD_LINK, SYMLINK):
        entry.link = _string(block[157:257])
    if kind in (CHARACTER, BLOCK_DEVICE):
        entry.major, entry.minor = number(block[329:337]), number(block[337:345])
    return entry


def number(digits: bytes, signed: bool = False) -> int:
    """A numeric field: octal text, or GNU's big-endian base-256 behind a set top bit."""
    if digits[0] == 0xFF:
        value = int.from_bytes(digits, "big", signed=True)
    elif digits[0] & 0x80:
        value = int.from_bytes(digits, "big") - (0x80 << 8 * (len(digits) - 1))
    else:
        value = _octal(digits)
    if value > _LARGEST or value < (-_LARGEST if signed else 0):
        raise Invalid(f"read tar header: number {value} out of range")
    return value


def _octal(digits: bytes) -> int:
    text = digits.strip(b"\0 ").partition(b"\0")[0]
    if not text:
        return 0
    try:
        return int(text, 8) if text.isdigit() else -1
    except ValueError:
        return -1


def decimal(text: bytes) -> int:
    """A non-negative decimal number, as pax records and GNU sparse maps write it."""
    if not text.isdigit() or len(text) > 19 or int(text) > _LARGEST:
        raise Invalid(f"read tar header: {text[:40]!r} is not a size or id")
    return int(text)


def pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The `LENGTH KEY=VALUE\\n` records of an extended header, in order; a key may repeat (GNU sparse 0.0 does)."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        end = at + decimal(data[at:space]) if space > 0 else 0
        equals = data.find(b"=", space, end)
        if equals <= space + 1 or end > len(data) or data[end - 1] != 0x0A:
            raise Invalid("read tar header: malformed pax record")
        yield data[space + 1 : equals], data[equals + 1 : end - 1]
        at = end


def apply_pax(entry: Entry, records: list[tuple[bytes, bytes]]) -> None:
    """Let the records of an extended header override what the header itself says."""
    for key, value in records:
        if key == b"path":
            entry.name = as_path(value)
        elif key == b"linkpath":
            entry.link = as_path(value)
        elif key == b"size":
            if entry.kind in _WITH_DATA:
                entry.size = entry.stored = decimal(value)
        elif key == b"uid":
            entry.uid = decimal(value)
        elif key == b"gid":
            entry.gid = decimal(value)
        elif key == b"mtime":
            entry.mtime = nanoseconds(value)
        elif key.startswith(b"SCHILY.xattr."):
            entry.xattrs[as_path(key[13:])] = value
        elif key.startswith(b"LIBARCHIVE.xattr."):
            entry.xattrs.setdefault(as_path(_unquoted(key[17:])), _base64(value))


def nanoseconds(text: bytes) -> int:
    """A pax time, decimal seconds with an optional fraction and sign, rounded down to a nanosecond."""
    digits = text.removeprefix(b"-")
    whole, _, fraction = digits.partition(b".")
    if not (whole or b"0").isdigit() or not (fraction or b"0").isdigit():
        raise Invalid(f"read tar header: {text[:40]!r} is not a time")
    value = decimal(whole or b"0") * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))
    return -value if len(digits) < len(text) else value


def show(name: bytes) -> str:
    """A name as a message shows it."""
    return name.decode("utf-8", "backslashreplace")


def _string(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def as_path(value: bytes) -> bytes:
    """`value`, if the kernel can take it for a name."""
    if b"\0" in value:
        raise Invalid("read tar header: a name with a zero byte")
    return value


def _unquoted(text: bytes) -> bytes:
    """With `%XX` taken for the byte XX (libarchive writes keys so)."""
    first, *rest = text.split(b"%")
    try:
        return first + b"".join(binascii.unhexlify(part[:2]) + part[2:] for part in rest)
    except binascii.Error:
        raise Invalid("read tar header: an extended attribute's name is malformed")


def _base64(value: bytes) -> bytes:
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        raise Invalid("read tar header: an extended attribute that is not base64")
