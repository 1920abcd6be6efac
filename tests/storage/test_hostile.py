"""Archives that mean harm: each is refused, or harmless, and nothing outside the layer ever changes."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from firkin.errors import Invalid
from firkin.storage.layers import Layers, Limits
from tests.storage.hoards import links_to_nowhere, packed
from tests.storage.rig import Member, Store, folder, hard_link, link, member, tar_of

VICTIM = "/tmp/firkin-hostile-victim"


@pytest.fixture(autouse=True)
def victim() -> object:
    """A directory of the host's that must look afterwards as it did before."""
    subprocess.run(["rm", "-rf", VICTIM], check=True)
    os.makedirs(VICTIM)
    Path(VICTIM, "file").write_text("host's own")
    yield
    assert os.listdir(VICTIM) == ["file"] and Path(VICTIM, "file").read_text() == "host's own"
    subprocess.run(["rm", "-rf", VICTIM], check=True)


def xz_long(data: bytes) -> bytes:
    return lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 26}])


def zstandard_long(data: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(compression_level=3, window_log=27, enable_ldm=True)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def left_behind(store: Store) -> list[str]:
    return [name for name in os.listdir(store.layout.layers) if not name.startswith("removing-")]


REFUSED: dict[str, list[Member]] = {
    "a name with ..": [member("../../../../tmp/firkin-hostile-victim/x", b"1")],
    "a name with .. in the middle": [folder("a"), member("a/../../x", b"1")],
    "a directory ..": [folder("..", mode=0o777)],
    "a hard link to ..": [hard_link("x", "../../../../tmp/firkin-hostile-victim/file")],
    "a whiteout of ..": [member("a/.wh...", b"")],
    "a whiteout of .": [member("a/.wh..", b"")],
    "a whiteout of nothing": [member(".wh.", b"")],
    "a file as parent": [member("a", b"1"), member("a/b", b"2")],
    "links in a circle": [link("a", "b"), link("b", "a"), member("a/x", b"1")],
    "a hard link to a directory": [folder("a"), hard_link("b", "a")],
    "a root that is a file": [member("./", b"1", type=tarfile.REGTYPE), member(".", b"1")],
    "a name that is too long": [member("x" * 300, b"1")],
    "a path that is too long": [member("/".join(["abcdefgh"] * 600), b"1")],
    "a user id out of range": [member("a", b"1", uid=2**32 - 1)],
    "a symlink to nothing": [link("a", "")],
}


@pytest.mark.parametrize("members", REFUSED.values(), ids=REFUSED)
async def test_refused(store: Store, members: list[Member]) -> None:
    with pytest.raises(Invalid):
        await store.layers.settle(await store.layers.unpack(store.put(tar_of(*members))))
    assert left_behind(store) == []


HARMLESS: dict[str, list[Member]] = {
    "an absolute name counts from the layer's root": [member(f"{VICTIM}/file", b"1")],
    "a symlink out, then a file through it": [link("out", VICTIM), member("out/file", b"1"), member("out/new", b"2")],
    "a symlink up, then a file through it": [link("out", "../" * 30 + VICTIM), member("out/file", b"1")],
    "a symlink out, then a file of its name": [link("f", f"{VICTIM}/file"), member("f", b"1")],
    "a symlink out, then attributes of its name": [link("d", VICTIM), folder("d", mode=0o777, uid=1)],
    "a hard link to a symlink out, then a file": [link("a", f"{VICTIM}/file"), hard_link("b", "a"), member("b", b"1")],
    "a device, then a file of its name": [member("n", type=tarfile.CHRTYPE, devmajor=1, devminor=3), member("n", b"1")],
    "a fifo, then a file of its name": [member("n", type=tarfile.FIFOTYPE), member("n", b"1")],
    "a symlink out, then a whiteout through it": [link("d", VICTIM), member("d/.wh.file", b"")],
    "a symlink out, then an opaque mark through it": [link("d", VICTIM), member("d/.wh..wh..opq", b"")],
    "proc and self": [link("r", "/proc/self/root"), member("r/tmp/firkin-hostile-victim/file", b"1")],
}


@pytest.mark.parametrize("members", HARMLESS.values(), ids=HARMLESS)
async def test_harmless(store: Store, members: list[Member]) -> None:
    await store.layer(tar_of(*members))


async def test_overlays_own_attributes_are_not_for_archives_to_set(store: Store) -> None:
    info = tarfile.TarInfo("d")
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    info.pax_headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.fine": "1"}
    root = store.files(await store.layer(tar_of(info)))
    assert os.listxattr(root / "d") == ["user.fine"]


async def test_a_bomb_is_stopped_at_its_limit(store: Store) -> None:
    layers = Layers(store.layout, store.content, Limits(ratio=10, floor=1 << 20))
    blob = store.put(gzip.compress(tar_of(member("zeros", bytes(8 << 20)))))
    with pytest.raises(Invalid, match="more than the 1048576 bytes allowed"):
        await layers.unpack(blob)
    assert left_behind(store) == []
    assert (await Layers(store.layout, store.content, Limits(ratio=2000, floor=1)).unpack(blob)).size == 8 << 20


async def test_a_hoard_of_names_is_not_for_the_daemon_to_keep(store: Store) -> None:
    with pytest.raises(Invalid, match="more than 67108864 bytes would have to be known"):
        await store.layers.unpack(store.put(packed(links_to_nowhere(20_000))))
    assert left_behind(store) == []


@pytest.mark.parametrize("compress", [xz_long, zstandard_long], ids=["xz -9", "zstd --long=27"])
async def test_the_largest_windows_are_fine(store: Store, compress: Callable[[bytes], bytes]) -> None:
    await store.layer(compress(tar_of(member("a", os.urandom(1 << 20) * 150))))


@pytest.mark.parametrize("cut", [100, 512, 700, 1024 + 5000])
async def test_a_truncated_archive(store: Store, cut: int) -> None:
    data = tar_of(folder("d"), member("d/f", os.urandom(20000)))
    with pytest.raises(Invalid, match="truncated"):
        await store.layers.unpack(store.put(data[:cut] if cut != 512 else gzip.compress(data)[:-9]))


@pytest.mark.parametrize(
    "junk", [b"\x1f\x8b" + bytes(100), b"\x28\xb5\x2f\xfd" + b"\xff" * 100, b"<html>" * 200, b"\xfd7zXZ\0" + bytes(64)]
)
async def test_what_is_no_archive(store: Store, junk: bytes) -> None:
    with pytest.raises(Invalid):
        await store.layers.unpack(store.put(junk))


def test_a_full_disk_is_said_to_be_full_and_nothing_stays(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, sys
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
from firkin.errors import Unavailable
from tests.storage.rig import *
async def main():
    store = open_store(Path({str(tmp_path)!r}))
    blob = store.put(tar_of(*(member(f"f{{n}}", os.urandom(1 << 20)) for n in range(5))))
    try:
        await store.layers.unpack(blob)
    except Unavailable as error:
        print(error.message)
    try:
        with store.content.ingest() as ingest:
            ingest.write(bytes(8 << 20))
    except Unavailable as error:
        print(error.message)
    while any(name.startswith(("removing-", "unpacking-")) for name in os.listdir(store.layout.layers)):
        await asyncio.sleep(0.02)
    print(os.listdir(store.layout.layers), os.listdir(store.layout.ingest))
asyncio.run(main())
"""
    shell = f'mount -t tmpfs -o size=8m tmpfs {tmp_path} && exec "$@"'

    command = ["unshare", "-m", "--propagation", "private", "sh", "-ec", shell, "sh", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == ["unpack f2: no space left on device", "store blob: no space left on device", "[] []"], (
        done
    )
