"""Save, load and import: archives of ours, of skopeo's and of people who mean harm."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from firkin.errors import FirkinError, Invalid, NotFound
from tests.images.rig import Registry, Rig, Sample, sha256, skopeo, tar_of
from tests.images.test_pull import LAYERS, serve


async def chunks(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def saved(rig: Rig, *names: str) -> bytes:
    return b"".join([chunk async for chunk in rig.images.save(names)])


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Rig]:
    other = Rig(tmp_path / "other")
    yield other
    other.check_tidy()


async def test_what_is_saved_loads_elsewhere_as_it_was(rig: Rig, other: Rig, registry: Registry, tmp_path: Path) -> None:
    name = await serve(Sample(*LAYERS), registry, tmp_path)
    image = await rig.images.pull(name)
    rig.images.tag(name, "other:name")
    archive = await saved(rig, name, "other")
    assert await other.images.load(chunks(archive)) == [f"Loaded image: {name}", "Loaded image: other:name"]
    loaded = other.images.resolve("other:name")
    assert (loaded.id, loaded.manifest_digest, loaded.layers) == (image.id, image.manifest_digest, image.layers)
    assert loaded.tags == [name, "other:name"]
    assert other.files(loaded.chain[1]) == rig.files(image.chain[1])


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
async def test_an_archive_may_be_packed(rig: Rig, other: Rig, pack: Callable[[bytes], bytes]) -> None:
    image_id = await rig.images.import_(chunks(LAYERS[0]), "app")
    archive = await saved(rig, image_id)
    assert await other.images.load(chunks(pack(archive))) == [f"Loaded image ID: {image_id}"]


async def test_skopeo_reads_both_forms_of_what_is_saved(rig: Rig, tmp_path: Path) -> None:
    await rig.images.import_(chunks(LAYERS[0]), "app:v1")
    image = rig.images.resolve("app:v1")
    (tmp_path / "saved.tar").write_bytes(await saved(rig, "app:v1"))
    assert sha256((await skopeo("inspect", "--config", "--raw", f"docker-archive:{tmp_path}/saved.tar")).encode()) == image.id
    assert sha256((await skopeo("inspect", "--raw", f"oci-archive:{tmp_path}/saved.tar")).encode()) == image.manifest_digest


async def test_skopeos_archives_load(rig: Rig, tmp_path: Path) -> None:
    """Its docker-archive has the older form: layers by symlinks, no index."""
    sample = Sample(*LAYERS, LAYERS[0])
    layout = sample.write(tmp_path / "layout")
    await skopeo("copy", f"oci:{layout}:latest", f"docker-archive:{tmp_path}/docker.tar:team/app:v1")
    assert await rig.images.load(chunks((tmp_path / "docker.tar").read_bytes())) == ["Loaded image: team/app:v1"]
    assert rig.files(rig.images.resolve("team/app:v1").chain[1]) == {"etc", "etc/motd", "etc/link"}
    await skopeo("copy", f"oci:{layout}:latest", f"oci-archive:{tmp_path}/oci.tar:docker.io/team/app:v2")
    assert await rig.images.load(chunks((tmp_path / "oci.tar").read_bytes())) == ["Loaded image: team/app:v2"]
    assert rig.images.resolve("team/app:v2").id == sample.id


def docker_archive(**members: Any) -> bytes:
    """An archive in `docker save`'s old form with one layer; keyword arguments replace members ("" leaves one out)."""
    layer = tar_of({"a": b"1"})
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]}}
    manifest = [{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}]
    files: dict[str, Any] = {
        "layer.tar": layer,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    files |= {name.replace("_", "."): value for name, value in members.items()}
    return tar_of({name: value for name, value in files.items() if value != ""})


HOSTILE: dict[str, bytes] = {
    "no archive": b"x" * 2000,
    "empty": b"",
    "no image": tar_of({"file": b"x"}),
    "no config": docker_archive(config_json=""),
    "no layer": docker_archive(layer_tar=""),
    "another layer": docker_archive(layer_tar=tar_of({"b": b"2"})),
    "a layer that is no archive": docker_archive(layer_tar=b"x" * 1024),
    "config is a link out": docker_archive(config_json="/etc/passwd"),
    "config is a link up": docker_archive(config_json="../../../../../../etc/passwd"),
    "links in a circle": docker_archive(layer_tar="other", other="layer.tar"),
    "manifest is no list": docker_archive(manifest_json=b"{}"),
    "manifest is huge": docker_archive(manifest_json=b" " * (5 << 20)),
    "manifest is deep": docker_archive(manifest_json=b"[" * 100_000),
    "names a path": docker_archive(
        manifest_json=json.dumps([{"Config": "/etc/passwd", "RepoTags": None, "Layers": []}]).encode()
    ),
    "a tag that is none": docker_archive(
        manifest_json=json.dumps([{"Config": "config.json", "RepoTags": ["../../x"], "Layers": ["layer.tar"]}]).encode()
    ),
    "truncated": docker_archive()[:1500],
    "very old": tar_of({"repositories": b"{}"}),
    "an index that lies": tar_of(
        {
            "index.json": json.dumps(
                {
                    "schemaVersion": 2,
                    "manifests": [
                        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "a" * 64, "size": 2}
                    ],
                }
            ).encode(),
            "blobs/sha256/" + "a" * 64: b"{}",
        }
    ),
    "a layer that climbs out": docker_archive(
        layer_tar=tar_of({"../../../../evil": b"x"}),
        config_json=json.dumps(
            {"os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha256(tar_of({"../../../../evil": b"x"}))]}}
        ).encode(),
    ),
}


@pytest.mark.parametrize("archive", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_archive_is_refused_and_leaves_nothing(rig: Rig, archive: bytes) -> None:
    with pytest.raises(FirkinError):
        await rig.images.load(chunks(archive))
    assert rig.left() == {}


async def test_names_that_climb_out_reach_nothing(rig: Rig) -> None:
    out = io.BytesIO(docker_archive())
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name in ("../../../../../../tmp/evil", "/tmp/evil", "a/../../../tmp/evil"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
    assert await rig.images.load(chunks(out.getvalue())) == ["Loaded image: evil:latest"]
    assert not Path("/tmp/evil").exists()


async def test_an_archive_that_unpacks_without_end_is_stopped(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "small", max_unpacked_bytes=1 << 20)
    bomb = gzip.compress(docker_archive(padding=bytes(3 << 20)))
    assert len(bomb) < 10_000
    with pytest.raises(Invalid, match="more than the 1048576 bytes allowed"):
        await rig.images.load(chunks(bomb))
    assert rig.left() == {}


async def test_a_client_that_leaves_ends_the_load(rig: Rig) -> None:
    archive, arrived = docker_archive(padding=bytes(1 << 20)), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield archive[:500_000]
        arrived.set()
        await asyncio.sleep(100)

    loading = asyncio.ensure_future(rig.images.load(stalling()))
    await arrived.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert rig.left() == {}


async def test_nothing_is_saved_for_an_unknown_name(rig: Rig) -> None:
    with pytest.raises(NotFound, match="No such image: nothing:latest"):
        rig.images.save(["nothing"])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
async def test_import_takes_a_tar_stream(rig: Rig, pack: Callable[[bytes], bytes]) -> None:
    changes = ['CMD ["sh", "-c", "true"]', "ENV A=1 B='two words'", "EXPOSE 80 90/udp", "LABEL x=y", "USER 7", "WORKDIR /srv"]
    image_id = await rig.images.import_(chunks(pack(LAYERS[1])), "made:v1", message="why", changes=changes)
    image = rig.images.resolve("made:v1")
    assert image.id == image_id
    assert rig.files(image.chain[0]) == {"etc", "etc/motd", "etc/link"}
    config = image.config.config
    assert (config.cmd, config.env, list(config.exposed_ports)) == (
        ("sh", "-c", "true"),
        ("A=1", "B=two words"),
        ["80/tcp", "90/udp"],
    )
    assert (config.labels, config.user, config.working_dir) == ({"x": "y"}, "7", "/srv")
    assert [step.comment for step in image.config.history] == ["why"]


async def test_a_broken_import_leaves_nothing(rig: Rig) -> None:
    for data in (b"no tar at all" * 100, gzip.compress(LAYERS[0])[:-20], tar_of({"../out": b""})):
        with pytest.raises(Invalid):
            await rig.images.import_(chunks(data), "made")
    with pytest.raises(Invalid, match="RUN is not a valid change command"):
        await rig.images.import_(chunks(LAYERS[0]), changes=["RUN reboot"])
    assert rig.left() == {}
