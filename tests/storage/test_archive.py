"""`docker cp`: paths in stopped and in running containers, friendly and not."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from firkin.errors import Forbidden, Invalid, NotFound
from firkin.linux.process import pidfd_open
from firkin.storage import worker
from firkin.storage.archive import Root, read_archive, running, stat_path, write_archive
from tests.storage.rig import Member, Store, folder, link, member, tar_of

NO_WAY = "too many levels of symbolic links"
ID = "1" * 64
IMAGE = tar_of(
    *(folder("etc"), member("etc/passwd", b"root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n"), member("etc/group", b"")),
    *(folder("srv", mode=0o2750, uid=5), member("srv/f", b"file", mode=0o4755, mtime=1234.5), folder("srv/sub")),
    *(link("abs", "/srv"), link("broken", "sub/../nowhere/x"), link("loop", "loop"), link("srv/sub/up", "../../abs/f")),
    *(link("out", f"/proc/{os.getpid()}/root/tmp"), folder("tmp"), folder("vol"), member("plain", b"")),
)


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


async def fetch(root: Root, path: str) -> tarfile.TarFile:
    _, stream = await read_archive(root, path)
    return tarfile.open(fileobj=io.BytesIO(b"".join([chunk async for chunk in stream])))


@pytest.fixture
async def stopped(store: Store) -> Root:
    store.snapshots.prepare(ID, await store.chain([IMAGE]))
    return store.snapshots.root(ID)


@pytest.fixture
async def live(store: Store) -> AsyncIterator[Root]:
    """A process in a mount namespace whose root is the overlay, with a tmpfs and the host's /proc in it."""
    overlay = store.snapshots.prepare(ID, await store.chain([IMAGE]))
    target = store.layout.staging
    options = f"lowerdir={':'.join(overlay.lowers)},upperdir={overlay.upper},workdir={overlay.work}"
    script = (
        f"mount -t overlay overlay -o {options} {target}; cd {target}; mount -t tmpfs tmpfs tmp; echo in > tmp/f; "
        "mount -t proc proc proc; mkdir -p old; pivot_root . old; umount -l /old; echo ready; read line"
    )
    command = ["unshare", "-m", "--propagation", "private", "busybox", "sh", "-ec", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        pidfd = pidfd_open(process.pid)
        yield running(pidfd)
        os.close(pidfd)
        process.kill()


@pytest.fixture(params=["stopped", "live"])
def root(request: pytest.FixtureRequest) -> Root:
    value: Root = request.getfixturevalue(request.param)
    return value


async def test_what_is_at_a_path(root: Root) -> None:
    found = await stat_path(root, "srv/f")
    assert (found.name, found.size, found.mtime, found.link_target) == ("f", 4, 1_234_500_000_000, "")
    assert stat.filemode(found.mode) == "-rwsr-xr-x"
    assert (await stat_path(root, "/")).name == "/"
    assert (await stat_path(root, "../../srv//sub/..")).name == "srv"
    assert stat.S_ISLNK((await stat_path(root, "/abs")).mode) and stat.S_ISDIR((await stat_path(root, "/abs/")).mode)
    for path, target in (("abs", "/srv"), ("broken", "/nowhere/x"), ("srv/sub/up", "/srv/f")):
        assert (await stat_path(root, path)).link_target == target
    with pytest.raises(Invalid, match="symbolic links"):
        await stat_path(root, "loop")
    with pytest.raises(NotFound):
        await stat_path(root, "/srv/nothing")
    with pytest.raises((NotFound, Invalid)):
        await stat_path(root, "/srv/f/x")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/srv", ["srv", "srv/f", "srv/sub", "srv/sub/up"]),
        ("/srv/", ["srv", "srv/f", "srv/sub", "srv/sub/up"]),
        ("/srv/.", [".", "./f", "./sub", "./sub/up"]),
        ("/abs/sub", ["sub", "sub/up"]),
        ("/srv/f", ["f"]),
        ("/abs", ["abs"]),
    ],
)
async def test_names_in_an_archive_begin_with_the_paths_last_part(stopped: Root, path: str, names: list[str]) -> None:
    with await fetch(stopped, path) as archive:
        assert archive.getnames() == names


async def test_out_and_in_again(root: Root) -> None:
    data = tar_of(folder("new", mode=0o700, uid=7), member("new/f", b"hello", uid=8, mode=0o640), member("abs/through", b"x"))
    await write_archive(root, "/srv/sub", chunks(data))
    with await fetch(root, "/srv") as archive:
        file = archive.extractfile("srv/sub/new/f")
        assert file and file.read() == b"hello"
        assert (archive.getmember("srv/sub/new/f").uid, archive.getmember("srv/sub/new").mode) == (8, 0o700)
        assert archive.getmember("srv").mode == 0o2750  # where it went keeps its attributes
    await write_archive(root, "/abs", chunks(tar_of(member("at-srv", b""))), user="web")
    with await fetch(root, "/srv/at-srv") as archive:
        assert (archive.getmember("at-srv").uid, archive.getmember("at-srv").gid) == (33, 34)
    with pytest.raises(Invalid, match="unable to find user nobody"):
        await write_archive(root, "/abs", chunks(data), user="nobody")


async def test_a_running_containers_mounts_are_seen(live: Root) -> None:
    with await fetch(live, "/tmp/f") as archive:
        assert archive.getmember("f").size == 3


@pytest.mark.parametrize("path", ["/nothing", "/plain", "/plain/"])
async def test_only_a_directory_can_be_extracted_to(root: Root, path: str) -> None:
    with pytest.raises((NotFound, Invalid)):
        await write_archive(root, path, chunks(tar_of(member("f", b""))))


@pytest.mark.parametrize(("there", "comes"), [(folder("x"), member("x", b"")), (member("x", b""), folder("x"))])
async def test_kinds_are_kept_if_asked(stopped: Root, there: Member, comes: Member) -> None:
    await write_archive(stopped, "/tmp", chunks(tar_of(there)))
    with pytest.raises(Invalid, match="cannot overwrite"):
        await write_archive(stopped, "/tmp", chunks(tar_of(comes)), keep_kinds=True)
    await write_archive(stopped, "/tmp", chunks(tar_of(comes)))


async def test_magic_links_lead_nowhere(live: Root) -> None:
    """A container that shares the host's process ids may plant a link to the root of one of the host's."""
    os.makedirs("/tmp/firkin-magic", exist_ok=True)
    try:
        for path in ("/out/firkin-magic", f"/proc/{os.getpid()}/root/tmp/firkin-magic"):
            with pytest.raises(Exception, match=NO_WAY):
                await stat_path(live, path)
            with pytest.raises(Exception, match=NO_WAY):
                await write_archive(live, path, chunks(tar_of(member("f", b"x"))))
        with pytest.raises(Invalid):
            await write_archive(live, "/", chunks(tar_of(member("out/firkin-magic/f", b"x"))))
        assert os.listdir("/tmp/firkin-magic") == []
    finally:
        os.rmdir("/tmp/firkin-magic")


IMPORTS_END_THE_WORKER = """
import os, sys
sys.path[:0] = sys.argv[1:]
from firkin.storage import confine, worker_main
enter = confine.enter
def confined(view):
    enter(view)
    sys.addaudithook(lambda event, arguments: os._exit(77) if event == "import" else None)
confine.enter = confined
worker_main.main()
"""


async def test_nothing_is_imported_inside_a_container(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_START", IMPORTS_END_THE_WORKER)
    assert (await stat_path(root, "/abs")).link_target == "/srv"
    with await fetch(root, "/srv") as archive:
        assert "srv/f" in archive.getnames()
    for data in (
        tar_of(member("f", b"1")),
        gzip.compress(tar_of(member("f", b"1"))),
        zstandard.compress(tar_of(member("f", b"1"))),
    ):
        await write_archive(root, "/tmp", chunks(data), user="web")
    with pytest.raises(Invalid):
        await write_archive(root, "/tmp", chunks(b"no archive" * 100))


async def test_volumes_and_read_only_roots_of_a_stopped_container(store: Store, tmp_path: Path) -> None:
    store.snapshots.prepare(ID, await store.chain([IMAGE]))
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "v").write_text("1")
    root = store.snapshots.root(ID, [(str(volume), "/vol", False), (str(volume), "/etc/made/here", True)], read_only=True)
    with await fetch(root, "/vol/v") as archive:
        assert archive.getnames() == ["v"]
    await write_archive(root, "/vol", chunks(tar_of(member("w", b""))))
    assert (volume / "w").exists()
    for path in ("/etc", "/etc/made/here"):
        with pytest.raises(Forbidden):
            await write_archive(root, path, chunks(tar_of(member("f", b""))))


async def test_a_client_that_sends_half_an_archive(stopped: Root) -> None:
    with pytest.raises(Invalid, match="truncated"):
        await write_archive(stopped, "/tmp", chunks(tar_of(member("f", bytes(5000)))[:3000]))
