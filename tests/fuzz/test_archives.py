"""Archives: what a layer, `docker cp`, `import` and `load` are sent."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import zstandard
from hypothesis import strategies as st

from firkin.errors import Invalid, Unsupported
from firkin.images import archive_images, archive_read
from firkin.oci.digest import digest_of
from firkin.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from firkin.oci.platform import Platform
from firkin.storage import tar_header
from firkin.storage.decompress import Counted, uncompressed
from firkin.storage.tar_reader import TarReader
from tests.fuzz.cell import Cell
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import edited, edits, mutated
from tests.storage.rig import folder, hard_link, link, member, open_store, tar_of

LIMIT = 8 << 20


# --- samples -------------------------------------------------------------------------------------------------------
def sparse(name: str, records: dict[str, str], data: bytes = b"12345678") -> Any:
    info, data = tarfile.TarInfo(name), data
    info.pax_headers, info.size = records, len(data)
    return info, data


ORDINARY = tar_of(
    folder("d"),
    member("d/f", b"1" * 600, uid=1000, gid=1000),
    link("l", "d/f"),
    hard_link("h", "d/f"),
    member("n", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    member("p", type=tarfile.FIFOTYPE),
)
LAYER = tar_of(
    folder("./"), folder("d"), member("d/.wh.gone", b""), member("e/.wh..wh..opq", b""), member("out/x", b"1"), member("there/link", b"2"),
    folder("there"), member(".wh.there", b""), hard_link("lower", "not/here"), member("../up", b"3"), link("d/up", "../../../victim"),
)  # fmt: skip
EXTENDED = tar_of(
    sparse("x", {"GNU.sparse.map": "0,4,10,4", "GNU.sparse.size": "20", "GNU.sparse.name": "s"}),
    sparse("y", {"SCHILY.xattr.user.a": "1", "LIBARCHIVE.xattr.user.b": "MQ==", "mtime": "-1.5", "path": "long/" * 30 + "n", "uid": "4294967294"}),
    sparse("z", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "600"}, b"1\n0\n8\n".ljust(512, b"\0") + b"12345678"),
)  # fmt: skip


def gnu() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("n" * 150, "m"):
            info = tarfile.TarInfo(name)
            info.size, info.uid = 3, 2**30
            archive.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


SAMPLES = (ORDINARY, LAYER, EXTENDED, gnu())


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A sample with blocks repeated or swapped and bytes changed, the checksums of its headers made good again."""
    data = bytearray(edited(draw(st.sampled_from(SAMPLES)), draw(edits(4))))
    for _ in range(draw(st.integers(0, 2))):
        at = 512 * draw(st.integers(0, max(0, len(data) // 512 - 1)))
        field = draw(st.sampled_from(FIELDS))
        data[at + field[0] : at + field[0] + len(field[1])] = field[1]
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


FIELDS = [(156, bytes([kind])) for kind in b"01234567xgLKSVD\0"] + [
    (0, b"../../victim/file\0"),
    (0, b"out/file\0"),
    (0, b"there/link\0"),
    (0, b"/\0"),
    (0, b".\0"),
    (157, b"../../victim/file\0"),
    (157, b"/victim\0"),
    (124, b"\x80" + b"\xff" * 11),
    (124, b"00000000000\0"),
    (108, b"\xff" * 8),
    (329, b"\x80\0\0\0\x7f\xff\xff\xff"),
    (136, b"\x80" + b"\0" * 4 + b"\xff" * 7),
    (345, b"prefix\0"),
    (386, b"00000000000\x0000000001000\0"),
    (482, b"\1"),
    (483, b"00000002000\0"),
]


class Stream:
    """Chunks of an archive, counted."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.size, self.given = data, size, 0

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self.data), self.size):
            self.given += len(self.data[at : at + self.size])
            yield self.data[at : at + self.size]


def read(data: bytes, size: int) -> list[tuple[tar_header.Entry, int]]:
    """Every entry and how many bytes of its data came, each piece checked against the entry's size."""
    reader = TarReader(iter(Stream(data, size)))
    found = []
    for entry in reader:
        total = 0
        for offset, piece in reader.data():
            assert offset >= 0 and offset + len(piece) <= entry.size, f"{offset} + {len(piece)} in {entry.size}"
            total += len(piece)
        found.append((entry, total))
    return found


# --- promises ------------------------------------------------------------------------------------------------------
@fuzzed(archives(), st.sampled_from((1, 511, 4096, 1 << 20)))
@remembered(tar_of(sparse("x", {"GNU.sparse.map": "0,8", "GNU.sparse.size": "8", "GNU.sparse.name": "a\0b"})), 4096)
def test_tar(data: bytes, size: int) -> None:
    """Whatever the bytes, the reader yields entries whose data lies within the stream and within the file, with names and
    numbers a kernel can take, or it raises Invalid; and the size of the chunks makes no difference."""
    found = passes(partial(read, data, size), Invalid)
    again = passes(partial(read, data, 1 << 20), Invalid)
    assert (found is None) == (again is None)
    for entry, total in found or ():
        assert total == entry.stored or entry.sparse is not None
        assert total <= len(data)
        names = (entry.name, entry.link, *entry.xattrs)
        assert not any(b"\0" in name for name in names)
        assert 0 <= entry.mode <= 0o7777 and 0 <= entry.size < 2**63 and entry.uid >= 0 and entry.gid >= 0


@fuzzed(
    mutated(
        b"10 a=b\n", b"27 mtime=1350244992.023960108\n", b"20 GNU.sparse.map=1\n", b"11 path=a\n30 SCHILY.xattr.user.x=value\n"
    )
)
def test_pax(data: bytes) -> None:
    """Whatever the bytes of an extended header, its records are parsed within them or it is Invalid."""
    records = passes(lambda: list(tar_header.pax_records(data)), Invalid) or []
    assert sum(len(key) + len(value) + 4 for key, value in records) <= max(len(data), 0) or not records
    entry = tar_header.Entry(b"n", tar_header.FILE, 0, 0, 0, 0, 0)
    passes(lambda: tar_header.apply_pax(entry, records), Invalid)


@fuzzed(archives(), st.sampled_from(("layer", "copy")))
def test_unpacking(data: bytes, kind: str, cell: Cell) -> None:
    """Whatever the archive, it is unpacked or refused as Invalid (or, for want of room, Unavailable), and nothing
    outside of the directory is written, linked to or changed."""
    answer = cell.unpack(data, kind)
    assert answer["error"] in ("", "invalid", "unavailable"), answer
    assert not answer["outside"], answer


PLAIN = ORDINARY + bytes(5000)
COMPRESSED = (
    gzip.compress(PLAIN, mtime=0), gzip.compress(PLAIN[:100], mtime=0) * 3 + bytes(20), bz2.compress(PLAIN), lzma.compress(PLAIN), lzma.compress(PLAIN, preset=1) * 2,
    zstandard.compress(PLAIN), zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN) + b"\x50\x2a\x4d\x18\4\0\0\0abcd", PLAIN, gzip.compress(bytes(30 << 20), 9, mtime=0),
    lzma.compress(PLAIN, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1536 << 20}]),
)  # fmt: skip


@fuzzed(mutated(*COMPRESSED), st.sampled_from((7, 4096, 1 << 18)))
def test_decompression(data: bytes, size: int) -> None:
    """Whatever the stream, at most as many bytes come out as are allowed and memory stays bounded, or it is Invalid."""
    source = io.BytesIO(data)
    total = passes(lambda: sum(map(len, Counted(uncompressed(lambda most: source.read(min(most, size))), LIMIT))), Invalid)
    assert total is None or total <= LIMIT


# --- archives of images --------------------------------------------------------------------------------------------
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%b"]}}' % (b"a" * 64)
DOCKER = tar_of(
    member("manifest.json", b'[{"Config":"c.json","RepoTags":["a:1"],"Layers":["1/layer.tar"]}]'),
    member("c.json", CONFIG),
    member("2/layer.tar", PLAIN[:1024]),
    link("1/layer.tar", "../2/layer.tar"),
)


def layout() -> bytes:
    """An OCI image layout with one image."""
    layer, blobs = PLAIN[:1024], []

    def descriptor(data: bytes, kind: str) -> dict[str, Any]:
        blobs.append(data)
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(CONFIG, OCI_CONFIG),
        "layers": [descriptor(layer, OCI_LAYER)],
    }
    named = descriptor(json.dumps(manifest).encode(), OCI_MANIFEST) | {
        "annotations": {"io.containerd.image.name": "docker.io/library/a:1"}
    }
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named]}).encode()
    return tar_of(*(member(f"blobs/sha256/{digest_of(data)[7:]}", data) for data in blobs), member("index.json", index))


@fuzzed(st.builds(edited, st.sampled_from((DOCKER, layout(), layout(), EXTENDED)), edits(5)))
def test_image_archive(data: bytes) -> None:
    """Whatever the archive, it is a list of images each of whose layers is there, or it is Invalid or Unsupported; and no
    name in it becomes a name on disk."""
    with tempfile.TemporaryDirectory() as directory:
        content = open_store(Path(directory)).content
        archive = archive_read.Archive()
        passes(lambda: archive_read.read_members(archive, content, iter([data])), Invalid)
        found = passes(lambda: archive_images.images_of(archive, content, Platform("amd64", "linux")), Invalid, Unsupported)
        for image in found or ():
            assert image.manifest and image.config
        names = {path.name for path in Path(directory).rglob("*") if path.is_file()}
        assert names <= {member.digest[7:] for member in archive.members.values()}, names
