"""Archives of which much has to be remembered and little is written: small when packed, large in whoever unpacks them."""

from __future__ import annotations

from collections.abc import Iterator

from isal import isal_zlib

_BLOCK = 512
_GZIP = 31


def _header(kind: bytes, size: int) -> bytes:
    block = bytearray(_BLOCK)
    block[0:1], block[100:107], block[124:135], block[156:157] = b"x", b"0000644", b"%011o" % size, kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"        "
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


def links_to_nowhere(count: int) -> Iterator[bytes]:
    """A tar stream of hard links whose targets, of nearly four kilobytes each, a layer below might have."""
    tail = b"/".join([b"t" * 240] * 16)
    link = _header(b"1", 0)
    for number in range(count):
        fields = ((b"path", b"link-%d" % number), (b"linkpath", b"%d/%b" % (number, tail)))
        data = b"".join(_record(key, value) for key, value in fields)
        yield _header(b"x", len(data)) + data + bytes(-len(data) % _BLOCK) + link
    yield bytes(2 * _BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(record := b"%d %b=%b\n" % (length, key, value)) != length:
        length = len(record)
    return record


def packed(chunks: Iterator[bytes]) -> bytes:
    packer = isal_zlib.compressobj(1, wbits=_GZIP)
    return b"".join([*(packer.compress(chunk) for chunk in chunks), packer.flush()])
