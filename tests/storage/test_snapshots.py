"""Writable layers on images, through the kernel's own overlay."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from firkin.errors import NotFound
from firkin.storage.snapshots import OverlayMount
from tests.storage.rig import Store, folder, hard_link, link, member, tar_of

ID = "1" * 64
InMerged = Callable[[OverlayMount, str], str]
FIND = "find . -mindepth 1 -printf '%P %y\\n' | sort"


async def test_whiteouts_and_opaque_directories_hide_what_is_below(store: Store, in_merged: InMerged) -> None:
    chain = await store.chain(
        [
            tar_of(*(member(f"{d}/{n}", b"1") for d in ("opq", "gone", "again", "part") for n in "ab")),
            tar_of(
                *(member("opq/c", b"2"), member("opq/.wh..wh..opq", b""), member(".wh.gone", b""), member("part/.wh.a", b"")),
                *(member(".wh.again", b""), folder("again"), member("again/z", b"3"), member("again2/.wh.none", b"")),
            ),
            tar_of(member("gone/late", b"4"), member(".wh.part", b""), member("part/new", b"5")),
        ]
    )
    overlay = store.snapshots.prepare(ID, chain)
    shown = in_merged(overlay, "for d in opq gone again part; do echo $d: $(ls $d) $(cat $d/*); done").splitlines()
    assert shown == ["opq: c 2", "gone: late 4", "again: z 3", "part: new 5"]


async def test_what_containers_need_is_in_neither_the_image_nor_the_writable_layer(store: Store, in_merged: InMerged) -> None:
    chain = await store.chain(
        [tar_of(folder("etc", mode=0o700, uid=5), member("etc/hosts", b"image's own"), link("sys", "/x"))]
    )
    overlay = store.snapshots.prepare(ID, chain)
    shown = in_merged(overlay, FIND).splitlines()
    assert shown == [
        *(".dockerenv f", "dev d", "dev/console f", "dev/pts d", "dev/shm d", "etc d", "etc/hostname f", "etc/hosts f"),
        *("etc/mtab l", "etc/resolv.conf f", "proc d", "sys l"),
    ]
    assert in_merged(overlay, "cat etc/hosts; stat -c %a,%u etc") == "image's own700,5\n"
    assert store.snapshots.changes(ID) == [] and store.snapshots.size(ID) == 0


async def test_125_layers(store: Store, in_merged: InMerged) -> None:
    chain = await store.chain([tar_of(member(f"f{n}", b"1"), member("last", str(n).encode())) for n in range(125)])
    assert len(store.snapshots.prepare(ID, chain).lowers) == 126
    data = b"".join([chunk async for chunk in store.snapshots.export(ID)])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        last = archive.extractfile("last")
        assert last and last.read() == b"124"
        assert sum(name.startswith("f") for name in archive.getnames()) == 125


async def test_the_root_directory_looks_like_the_images(store: Store) -> None:
    chain = await store.chain([tar_of(folder("./", mode=0o1750, uid=3, gid=4)), tar_of(member("f", b""))])
    info = os.stat(store.snapshots.prepare(ID, chain).upper)
    assert (stat.filemode(info.st_mode), info.st_uid, info.st_gid) == ("drwxr-x--T", 3, 4)


CHANGES = """
echo new > added; mkdir -p dir/sub; echo 1 > dir/sub/f
rm base/gone; echo more >> base/kept; chmod 600 base/mode; touch -r base/same base/same.x; rm base/same.x
rm -r base/tree; mkdir base/tree; echo 2 > base/tree/new
ln base/linked base/linked2
"""


async def test_changes_are_those_docker_diff_would_tell(store: Store, in_merged: InMerged) -> None:
    base = [member(f"base/{name}", b"1") for name in ("gone", "kept", "mode", "same", "linked", "tree/a", "tree/b")]
    overlay = store.snapshots.prepare(ID, await store.chain([tar_of(*base, member("other/f", b""))]))
    in_merged(overlay, CHANGES)
    assert store.snapshots.changes(ID) == [
        *((1, "/added"), (0, "/base"), (2, "/base/gone"), (0, "/base/kept")),
        *((1, "/base/linked2"), (0, "/base/mode")),
        *((0, "/base/tree"), (2, "/base/tree/a"), (2, "/base/tree/b"), (1, "/base/tree/new")),
        *((1, "/dir"), (1, "/dir/sub"), (1, "/dir/sub/f")),
    ]


async def test_a_committed_layer_shows_the_same_files(store: Store, in_merged: InMerged) -> None:
    base = [member(f"base/{name}", b"1") for name in ("gone", "kept", "mode", "same", "linked", "tree/a", "tree/b")]
    chain = await store.chain([tar_of(*base)])
    first = store.snapshots.prepare(ID, chain)
    in_merged(first, CHANGES + "mknod base/dev c 1 3; mkfifo base/pipe; ln -s nowhere base/link; chown 7:8 base/kept")
    packed = b"".join([chunk async for chunk in store.snapshots.diff(ID)])
    second = store.snapshots.prepare("2" * 64, (*chain, await store.layer(packed, chain[-1])))
    show = "find added base dir -printf '%p %M %U %G %s %l %Ts %n\\n' | sort"
    strip = [line for line in in_merged(first, show).splitlines() if " d" not in line]
    assert strip == [line for line in in_merged(second, show).splitlines() if " d" not in line]
    assert store.snapshots.changes("2" * 64) == []
    assert b"".join([chunk async for chunk in store.snapshots.diff(ID)]) == packed


async def empty(directory: str) -> None:
    """Wait, not long, until there is nothing in it."""
    for _ in range(200):
        if not os.listdir(directory):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(os.listdir(directory))


async def test_a_removed_layer_is_gone_at_once_and_its_files_soon(store: Store, in_merged: InMerged) -> None:
    chain = await store.chain([tar_of(member("f", b""))])
    in_merged(store.snapshots.prepare(ID, chain), "mkdir -p a/b/c; touch a/b/c/f; mknod a/n c 1 3; ln -s /etc a/l")
    assert store.snapshots.in_use() == {chain[0]}
    store.snapshots.remove(ID)
    assert ID not in os.listdir(store.layout.snapshots)
    with pytest.raises(NotFound):
        store.snapshots.mount(ID)
    store.snapshots.remove(ID)  # twice does no harm
    await empty(store.layout.snapshots)


async def test_a_tree_deeper_than_any_path_is_measured_packed_and_removed(store: Store) -> None:
    overlay = store.snapshots.prepare(ID, await store.chain([tar_of(member("f", b""))]))
    script = "import os\nfor _ in range(1500): os.mkdir('d' * 8), os.chdir('d' * 8)\nopen('end', 'w').write('12345\\n')"
    subprocess.run([sys.executable, "-c", script], cwd=overlay.upper, check=True, timeout=20)
    assert store.snapshots.size(ID) == 6
    store.snapshots.remove(ID)
    await empty(store.layout.snapshots)


async def test_hard_links_survive_export(store: Store) -> None:
    chain = await store.chain([tar_of(member("a", b"12"), hard_link("b", "a"))])
    store.snapshots.prepare(ID, chain)
    data = b"".join([chunk async for chunk in store.snapshots.export(ID)])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getmember("b").islnk() and archive.getmember("b").linkname == "a"


def test_nothing_of_this_is_mounted_on_the_host() -> None:
    assert "firkin" not in Path("/proc/self/mounts").read_text()
