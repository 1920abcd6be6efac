"""Files that are mostly holes: what is packed of them, who can read it, and that nobody fills them."""

from __future__ import annotations

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from firkin.errors import Invalid
from firkin.linux import holes
from firkin.storage import pack, tar_sparse
from tests.storage.rig import Member, Store, hard_link, member, tar_of

HUGE = 1 << 42
FAR = 5 << 30


def sparse(path: Path, *pieces: tuple[int, bytes], size: int = HUGE) -> Path:
    with open(path, "wb") as file:
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
        file.truncate(size)
    return path


def packed(directory: Path) -> bytes:
    out = bytearray()
    packer = pack.Packer(out.extend)
    fd = os.open(directory, os.O_RDONLY)
    packer.pack_below(fd, b"")
    packer.end()
    os.close(fd)
    return bytes(out)


FILES: dict[str, list[tuple[int, bytes]]] = {
    "nothing at all": [],
    "at the beginning": [(0, b"word")],
    "in the middle": [(FAR, b"word")],
    "at the end": [(HUGE - 4, b"word")],
    "in many places": [(place << 24, os.urandom(5000)) for place in range(300)],
}


@pytest.mark.parametrize("pieces", FILES.values(), ids=FILES)
@pytest.mark.parametrize("name", ["file", "x" * 200])
def test_others_read_what_is_packed(tmp_path: Path, pieces: list[tuple[int, bytes]], name: str) -> None:
    """GNU tar makes the same file of it, holes and all; Python's tarfile sees the same runs."""
    source, target = tmp_path / "source", tmp_path / "target"
    for directory in (source, target):
        directory.mkdir()
    sparse(source / name, *pieces)
    archive = packed(source)
    assert len(archive) < 8 << 20
    subprocess.run(["tar", "-C", str(target), "-xf", "-"], input=archive, check=True, timeout=60)
    made, original = target / name, source / name
    assert made.stat().st_size == HUGE and made.stat().st_blocks <= original.stat().st_blocks + 8
    with original.open("rb") as one, made.open("rb") as other:
        for offset, data in pieces:
            for file in (one, other):
                file.seek(offset)
                assert file.read(len(data)) == data
    (tmp_path / "archive").write_bytes(archive)
    with tarfile.open(tmp_path / "archive") as tar:
        (found,) = tar
        assert (found.name, found.size) == (name, HUGE)


def test_small_holes_are_packed_as_zeros(tmp_path: Path) -> None:
    """As everybody has always read them."""
    sparse(tmp_path / "file", (500_000, b"word"), size=900_000)
    with tarfile.open(fileobj=BytesIO(packed(tmp_path))) as tar:
        assert not tar.next().sparse  # type: ignore[union-attr]


def test_data_in_too_many_places_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_sparse, "MAX_RUNS", 100)
    sparse(tmp_path / "file", *FILES["in many places"])
    with pytest.raises(Invalid, match="pack file: its data lies in more than 100 places"):
        packed(tmp_path)


def test_a_copy_has_the_same_holes(tmp_path: Path) -> None:
    source = sparse(tmp_path / "source", *FILES["in many places"])
    with source.open("rb") as one, (tmp_path / "target").open("w+b") as other:
        holes.copy(one.fileno(), other.fileno())
        for place, data in FILES["in many places"]:
            assert os.pread(other.fileno(), len(data), place) == data
        runs = list(holes.data_runs(one.fileno(), HUGE))
        assert runs == list(holes.data_runs(other.fileno(), HUGE)) and len(runs) == 300
    assert os.stat(tmp_path / "target").st_size == HUGE


def claimed(name: str, size: int) -> Member:
    """A file of that size, of which the archive holds nothing (GNU tar's pax 1.0)."""
    text = b"1\n%d\n0\n" % size
    fields = {"major": "1", "minor": "0", "name": name, "realsize": str(size)}
    return member(
        "condensed", text.ljust(512, b"\0"), pax_headers={f"GNU.sparse.{key}": value for key, value in fields.items()}
    )


async def test_a_hard_link_does_not_fill_a_giant_of_a_layer_below(store: Store) -> None:
    """What a layer links to below is copied into it."""
    *_, top = await store.chain([tar_of(claimed("giant", HUGE)), tar_of(hard_link("other", "giant"))])
    for name in ("giant", "other"):
        made = (store.files(top) / name).stat()
        assert made.st_size == HUGE and made.st_blocks < 100


async def test_more_than_a_file_may_have_is_refused(store: Store, tmp_path: Path) -> None:
    size = (1 << 63) - 1
    try:
        sparse(tmp_path / "as large", size=size)
    except OSError:
        with pytest.raises(Invalid, match="unpack giant: file too large"):
            await store.layer(tar_of(claimed("giant", size)))
    else:
        await store.layer(tar_of(claimed("giant", size)))
    with pytest.raises(Invalid, match="is not a size or id"):
        await store.layer(tar_of(claimed("giant", size + 1)))
