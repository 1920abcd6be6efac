"""Pull, against a real registry: what comes out is what went in, whatever form it went in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from firkin.errors import Invalid, NotFound, Unsupported
from tests.images.faulty import FaultyRegistry
from tests.images.rig import Registry, Rig, Sample, skopeo, tar_of

LAYERS = (tar_of({"bin/": None, "bin/sh": b"#!"}), tar_of({"etc/": None, "etc/motd": b"hello", "etc/link": "motd"}))


async def serve(sample: Sample, registry: Registry, tmp_path: Path, name: str = "app:v1", *options: str) -> str:
    """Put the sample into the registry with skopeo; its reference."""
    layout = sample.write(tmp_path / sample.id.removeprefix("sha256:"))
    target = f"docker://{registry.host}/{name}"
    await skopeo("copy", "--dest-tls-verify=false", *options, f"oci:{layout}:latest", target)
    return f"{registry.host}/{name}"


async def test_an_image_pulled_is_the_image_pushed(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    sample = Sample(*LAYERS)
    name = await serve(sample, registry, tmp_path)
    image = await rig.images.pull(name, watch=rig.watch)
    assert image.id == sample.id
    assert image.tags == [name]
    assert rig.files(image.chain[0]) == {"bin", "bin/sh"}
    assert rig.files(image.chain[1]) == {"etc", "etc/motd", "etc/link"}
    assert rig.images.resolve(image.repo_digests[0]).id == image.id
    assert rig.events[-1][:2] == ("pull", name)


async def test_progress_is_told_in_dockers_words(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    sample = Sample(*LAYERS)
    name = await serve(sample, registry, tmp_path)
    await rig.images.pull(name, watch=rig.watch)
    assert rig.statuses("v1") == ["Pulling from app"]
    for layer in sample.layers:
        steps = list(dict.fromkeys(rig.statuses(layer["digest"][7:19])))
        assert steps[0] == "Pulling fs layer"
        assert steps[-1] == "Pull complete"
        assert {"Downloading", "Verifying Checksum", "Download complete", "Extracting"} <= set(steps)
    assert [step.status for step in rig.seen[-2:]] == [
        f"Digest: {rig.images.resolve(name).manifest_digest}",
        f"Status: Downloaded newer image for {name}",
    ]
    rig.seen.clear()
    await rig.images.pull(name, watch=rig.watch)
    assert rig.seen[-1].status == f"Status: Image is up to date for {name}"
    assert rig.statuses(sample.layers[0]["digest"][7:19]) == ["Already exists"]


@pytest.mark.parametrize("packing", ["", "+gzip", "+zstd"])
async def test_layers_may_be_packed_in_any_way(rig: Rig, registry: Registry, tmp_path: Path, packing: str) -> None:
    name = await serve(Sample(*LAYERS, packing=packing), registry, tmp_path)
    image = await rig.images.pull(name)
    assert rig.files(image.chain[1]) == {"etc", "etc/motd", "etc/link"}


async def test_docker_manifests_do_as_well(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    name = await serve(Sample(*LAYERS), registry, tmp_path, "app:v2s2", "--format=v2s2")
    image = await rig.images.pull(name)
    assert image.layers[0].media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"


async def test_a_tag_that_moved_leaves_the_old_image_without_it(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    old = await rig.images.pull(await serve(Sample(*LAYERS), registry, tmp_path))
    new = await rig.images.pull(await serve(Sample(LAYERS[0]), registry, tmp_path))
    assert rig.images.resolve(f"{registry.host}/app:v1").id == new.id != old.id
    assert rig.images.resolve(old.id).tags == []
    assert rig.images.list({"dangling": ["true"]}) == [rig.images.resolve(old.id)]


async def test_a_pull_by_digest_names_only_the_digest(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    name = await serve(Sample(*LAYERS), registry, tmp_path)
    digest = await skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{name}")
    image = await rig.images.pull(f"{registry.host}/app@{digest.strip()}")
    assert image.tags == []
    assert image.repo_digests == [f"{registry.host}/app@{digest.strip()}"]


async def test_an_unknown_image_is_not_found(rig: Rig, registry: Registry) -> None:
    with pytest.raises(NotFound, match=rf"manifest for {registry.host}/no/such:latest not found: manifest unknown"):
        await rig.images.pull(f"{registry.host}/no/such")


async def test_of_an_index_the_wanted_platform_is_pulled(rig: Rig, faulty: FaultyRegistry) -> None:
    samples = {name: Sample(tar_of({name: b""}), architecture=name) for name in ("amd64", "arm64", "386")}
    entries = []
    for name, sample in samples.items():
        digest = faulty.add(sample)
        entries.append(
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": len(sample.manifest)}
        )
        entries[-1]["platform"] = {"os": "linux", "architecture": name}  # type: ignore[assignment]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    digest = faulty.add_document(index)
    for platform in ("linux/arm64/v8", "linux/amd64", "386"):
        image = await rig.images.pull(f"{faulty.host}/app", platform)
        assert image.config.architecture in platform
        assert f"{faulty.host}/app@{digest}" in image.repo_digests
    with pytest.raises(NotFound, match="no matching manifest for linux/riscv64 in the manifest list entries"):
        await rig.images.pull(f"{faulty.host}/app", "linux/riscv64")
    entries[1]["size"] = 3
    faulty.add_document(index, "lying")
    rig.images.list({})
    await rig.images.remove(f"{faulty.host}/app")
    with pytest.raises((Invalid, NotFound)):
        await rig.images.pull(f"{faulty.host}/app:lying", "linux/arm64")


async def test_an_image_for_another_platform_is_refused_if_one_was_asked_for(rig: Rig, faulty: FaultyRegistry) -> None:
    faulty.add(Sample(LAYERS[0], architecture="s390x"))
    with pytest.raises(NotFound, match=r"its platform \(linux/s390x\) does not match the specified platform \(linux/amd64\)"):
        await rig.images.pull(f"{faulty.host}/app", "linux/amd64")
    assert (await rig.images.pull(f"{faulty.host}/app")).config.architecture == "s390x"


async def test_what_is_no_linux_image_is_refused(rig: Rig, faulty: FaultyRegistry) -> None:
    faulty.add(Sample(LAYERS[0], os="windows"), "windows")
    with pytest.raises(Unsupported, match='image operating system "windows" cannot be used on this platform'):
        await rig.images.pull(f"{faulty.host}/app:windows")
    faulty.add_document(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 2},
            "layers": [],
        },
        "chart",
    )
    with pytest.raises(Unsupported, match="it is not a container image"):
        await rig.images.pull(f"{faulty.host}/app:chart")
    assert rig.left() == {}


async def test_pulls_at_the_same_time_share_what_they_share(rig: Rig, faulty: FaultyRegistry) -> None:
    first, second = Sample(*LAYERS), Sample(*LAYERS, tar_of({"more": b"x" * 100_000}))
    faulty.add(first, "one")
    faulty.add(second, "two")
    names = ["one", "two", "two", "one"]
    images = await asyncio.gather(*(rig.images.pull(f"{faulty.host}/app:{name}") for name in names))
    assert [image.id for image in images] == [first.id, second.id, second.id, first.id]
    for layer in second.layers:
        assert len(faulty.requests(layer["digest"])) == 1


async def test_a_layer_twice_in_one_image_is_fetched_once(rig: Rig, faulty: FaultyRegistry) -> None:
    faulty.add(Sample(LAYERS[0], LAYERS[1], LAYERS[0]))
    image = await rig.images.pull(f"{faulty.host}/app")
    assert len(set(image.chain)) == 3
    assert len(faulty.requests(image.layers[0].digest)) == 1


async def test_a_foreign_layer_comes_from_where_its_maker_says(rig: Rig, faulty: FaultyRegistry) -> None:
    sample = Sample(LAYERS[0])
    layer = sample.layers[0]
    layer["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    digest = layer["digest"]
    layer["urls"] = [f"http://{faulty.host}/elsewhere/blobs/{digest}"]
    import json

    document = json.loads(sample.manifest)
    document["layers"] = [layer]
    faulty.blobs.update(sample.blobs)
    faulty.add_document(document)
    faulty.faults[digest] = [404]
    image = await rig.images.pull(f"{faulty.host}/app")
    assert [seen.path for seen in faulty.requests(digest)] == [f"/v2/app/blobs/{digest}", f"/elsewhere/blobs/{digest}"]
    assert rig.files(image.chain[0]) == {"bin", "bin/sh"}
