"""Push, to a real registry, read back by skopeo."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firkin.errors import NotFound
from tests.images.rig import Registry, Rig, Sample, skopeo, tar_of
from tests.images.test_pull import LAYERS, serve


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_an_image_pulled_and_pushed_keeps_its_digest(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    image = await rig.images.pull(await serve(Sample(*LAYERS), registry, tmp_path))
    target = f"{registry.host}/copy/app:v2"
    rig.images.tag(image.id, target)
    pushed = await rig.images.push(target, watch=rig.watch)
    assert pushed.digest == image.manifest_digest
    assert rig.statuses("")[0] == f"The push refers to repository [{registry.host}/copy/app]"
    assert [rig.statuses(blob.digest[7:19])[-1] for blob in image.layers] == ["Mounted from app"] * 2
    assert rig.seen[-1].status == f"v2: digest: {pushed.digest} size: {pushed.size}"
    inspected = json.loads(await skopeo("inspect", "--tls-verify=false", f"docker://{target}"))
    assert inspected["Digest"] == pushed.digest
    assert f"{registry.host}/copy/app@{pushed.digest}" in rig.images.resolve(target).repo_digests


async def test_layers_made_here_travel_packed_and_only_once(rig: Rig, registry: Registry, tmp_path: Path) -> None:
    target = f"{registry.host}/made:latest"
    image_id = await rig.images.import_(chunks(tar_of({"file": b"x" * 100_000})), target)
    before = rig.left()
    first = await rig.images.push(target, watch=rig.watch)
    assert rig.left() == before
    [layer] = json.loads(await skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}"))["layers"]
    assert layer["mediaType"].endswith("+gzip")
    assert layer["size"] < 2000
    assert rig.statuses(layer["digest"][7:19])[-1] == "Pushed"
    rig.seen.clear()
    assert (await rig.images.push(target, watch=rig.watch)).digest == first.digest
    assert rig.statuses(layer["digest"][7:19]) == ["Preparing", "Layer already exists"]
    await skopeo("copy", "--src-tls-verify=false", f"docker://{target}", f"dir:{tmp_path}/copy")
    await rig.images.remove(target)
    assert (await rig.images.pull(target)).id == image_id


async def test_only_a_name_can_be_pushed(rig: Rig, registry: Registry) -> None:
    with pytest.raises(NotFound, match=f"An image does not exist locally with the tag: {registry.host}/nothing"):
        await rig.images.push(f"{registry.host}/nothing")


async def test_all_tags_go_both_ways(rig: Rig, registry: Registry) -> None:
    names = [f"{registry.host}/many:{tag}" for tag in ("one", "three", "two")]
    for name in names:
        await rig.images.import_(chunks(tar_of({"name": name.encode()})), name)
    assert sorted(pushed.tag for pushed in await rig.images.push_all(f"{registry.host}/many")) == ["one", "three", "two"]
    for name in names:
        await rig.images.remove(name)
    pulled = await rig.images.pull_all(f"{registry.host}/many")
    assert sorted(tag for image in pulled for tag in image.tags) == names
