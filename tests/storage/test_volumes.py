"""Volumes: records, filters, protection, copy-up, and the local driver's mounts."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firkin.errors import Conflict, Invalid, NotFound
from firkin.model import MountPoint, MountRequest
from firkin.storage.volumes import ANONYMOUS, Volume, Volumes
from tests.storage.rig import Store, folder, link, member, tar_of


@pytest.fixture
def volumes(store: Store) -> Volumes:
    return Volumes(store.layout)


def point(volume: Volume, destination: str, **request: object) -> MountPoint:
    asked = MountRequest("volume", destination, volume.name, **request)  # type: ignore[arg-type]
    return MountPoint("volume", volume.mountpoint, destination, name=volume.name, request=asked)


async def test_a_volume_is_made_once_and_survives_the_daemon(store: Store, volumes: Volumes) -> None:
    made = volumes.create("data", labels={"a": "1"})
    assert volumes.create("data", labels={"b": "2"}) == made == Volumes(store.layout).inspect("data")
    assert made.mountpoint.endswith("/volumes/data/_data") and stat.S_IMODE(os.stat(made.mountpoint).st_mode) == 0o755
    nameless = volumes.create()
    assert len(nameless.name) == 64 and nameless.labels == {ANONYMOUS: ""} and volumes.is_anonymous(nameless.name)
    Path(made.mountpoint, "../volume.json").write_text("{")
    assert Volumes(store.layout).inspect("data").mountpoint == made.mountpoint
    await volumes.remove("data")
    with pytest.raises(NotFound):
        volumes.inspect("data")
    await volumes.remove("data", force=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("../x", {}),
        ("a/b", {}),
        ("-x", {}),
        ("x" + "\n", {}),
        ("ok", {"type": "tmpfs"}),
        ("ok", {"device": "x"}),
        ("ok", {"who": "me"}),
    ],
)
def test_bad_names_and_options(volumes: Volumes, name: str, options: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        volumes.create(name, options=options)
    assert volumes.list({}) == []


async def test_filters_use_and_prune(store: Store) -> None:
    used = {"keep", "anonymous-in-use"}
    volumes = Volumes(store.layout, lambda name: ["c1"] if name in used else [])
    volumes.create("keep", labels={"env": "prod"})
    free = volumes.create("free", labels={"env": "dev"})
    (Path(free.mountpoint) / "f").write_bytes(bytes(1000))
    loose = volumes.create()

    def names(**filters: list[str]) -> list[str]:
        return [volume.name for volume in volumes.list(filters)]

    assert names(label=["env=prod"]) == ["keep"] and names(label=["env"]) == ["free", "keep"]
    assert names(dangling=["true"]) == sorted(["free", loose.name]) and names(dangling=["0"]) == ["keep"]
    assert names(name=["eep"]) == ["keep"] and names(driver=["nfs"]) == []
    with pytest.raises(Invalid):
        volumes.list({"color": ["red"]})
    with pytest.raises(Conflict, match="volume is in use"):
        await volumes.remove("keep")
    assert await volumes.prune({}) == ([loose.name], 0)
    assert await volumes.prune({"label!": ["env=dev"]}, everything=True) == ([], 0)
    assert await volumes.prune({}, everything=True) == (["free"], 1000)


async def test_an_empty_volume_takes_what_the_image_has(store: Store, volumes: Volumes) -> None:
    chain = await store.chain(
        [
            tar_of(folder("data", mode=0o750, uid=9), member("data/gone", b""), member("data/a", b"1", uid=9, mode=0o600)),
            tar_of(
                member("data/sub/b", b"2"), member("data/.wh.gone", b""), folder("empty", mode=0o1777), link("run", "/data")
            ),
        ]
    )
    store.snapshots.prepare("1" * 64, chain)
    layers = store.snapshots.layers_of("1" * 64)

    async def filled(destination: str, **request: object) -> tuple[list[str], str, int]:
        volume = volumes.create()
        await volumes.make_ready([point(volume, destination, **request)], layers)
        info = os.stat(volume.mountpoint)
        return sorted(os.listdir(volume.mountpoint)), stat.filemode(info.st_mode), info.st_uid

    assert await filled("/data") == (["a", "sub"], "drwxr-x---", 9)
    assert await filled("/run/sub") == (["b"], "drwxr-xr-x", 0)
    assert await filled("/empty") == ([], "drwxrwxrwt", 0)
    assert await filled("/data", no_copy=True) == ([], "drwxr-xr-x", 0)
    assert await filled("/data/a") == ([], "drwxr-xr-x", 0)
    before = time.perf_counter()
    assert await filled("/nothing/here") == ([], "drwxr-xr-x", 0)
    assert time.perf_counter() - before < 0.02  # no process was started
    volume = volumes.create("mine")
    (Path(volume.mountpoint) / "own").touch()
    await volumes.make_ready([point(volume, "/data")], layers)
    assert os.listdir(volume.mountpoint) == ["own"]


async def test_a_subpath_cannot_leave_its_volume(volumes: Volumes) -> None:
    root = Path(volumes.create("vol").mountpoint)
    (root / "etc/in").mkdir(parents=True)
    (root / "up").symlink_to("../../../../etc")
    (root / "abs").symlink_to("/etc")
    for path in ("etc", "up", "abs", "../etc", "abs/../up"):
        fd = volumes.open_subpath("vol", path)
        assert os.path.samestat(os.fstat(fd), os.stat(root / "etc")), path
        os.close(fd)
    with pytest.raises(NotFound):
        volumes.open_subpath("vol", "abs/passwd")


def test_a_volume_with_options_is_mounted_while_it_is_used(tmp_path: Path) -> None:
    script = f"""
import asyncio, os, sys
from pathlib import Path
from firkin.model import MountPoint
from tests.storage.rig import open_store
from firkin.storage.volumes import Volumes
async def main():
    volumes = Volumes(open_store(Path({str(tmp_path)!r})).layout)
    tmp = volumes.create("tmp", options={{"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=1700,noexec"}})
    bind = volumes.create("bind", options={{"type": "none", "device": "/etc", "o": "bind,ro"}})
    mounts = [MountPoint("volume", v.mountpoint, "/x", name=v.name) for v in (tmp, bind)]
    await volumes.make_ready(mounts, [])
    await volumes.make_ready(mounts, [])
    assert os.statvfs(tmp.mountpoint).f_blocks * 4096 == 1 << 20 and os.statvfs(tmp.mountpoint).f_flag & os.ST_NOEXEC
    assert os.path.exists(bind.mountpoint + "/passwd") and os.statvfs(bind.mountpoint).f_flag & os.ST_RDONLY
    await volumes.let_go(mounts)
    assert os.path.ismount(tmp.mountpoint)
    await volumes.let_go(mounts)
    assert not os.path.ismount(tmp.mountpoint) and not os.path.exists(bind.mountpoint + "/passwd")
asyncio.run(main())
"""
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment)
    assert done.returncode == 0, done.stderr
