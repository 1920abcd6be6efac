"""Registries that stall, lie and break: a clear error or a whole image, and nothing left behind but what can be resumed."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import FirkinError, Invalid, Unavailable
from tests.images.faulty import FaultyRegistry
from tests.images.rig import Rig, Sample, sha256, tar_of

BIG = tar_of({"big": random.Random(1).randbytes(1_000_000)})


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


@pytest.fixture
def sample(faulty: FaultyRegistry) -> Sample:
    sample = Sample(tar_of({"small": b"1"}), BIG)
    faulty.add(sample)
    return sample


@pytest.mark.parametrize("fault", [500, 503, 429, (429, 1), "reset", "truncate", "stall"])
async def test_a_passing_fault_is_overcome(rig: Rig, faulty: FaultyRegistry, sample: Sample, fault: Any) -> None:
    digest = sample.layers[1]["digest"]
    faulty.faults[digest] = [fault]
    image = await rig.images.pull(f"{faulty.host}/app")
    assert rig.files(image.chain[1]) == {"big"}
    again = faulty.requests(digest)[1].headers
    if isinstance(fault, str):
        assert again["Range"] == f"bytes={sample.layers[1]['size'] // 2}-"
    else:
        assert "Range" not in again


@pytest.mark.parametrize("fault", [500, 429])
async def test_a_manifest_is_asked_for_again(rig: Rig, faulty: FaultyRegistry, sample: Sample, fault: int) -> None:
    faulty.faults["latest"] = [fault, fault]
    assert (await rig.images.pull(f"{faulty.host}/app")).id == sample.id


async def test_a_registry_that_ignores_ranges_is_read_from_the_start(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    faulty.faults[sample.layers[1]["digest"]] = ["reset", "no-range"]
    assert (await rig.images.pull(f"{faulty.host}/app")).id == sample.id


async def test_patience_ends(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    faulty.faults[sample.layers[1]["digest"]] = [500] * 10
    with pytest.raises(Unavailable, match=r"received unexpected HTTP status: 500 Internal Server Error"):
        await rig.images.pull(f"{faulty.host}/app")
    assert rig.left() == {}


async def test_progress_renews_patience(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    faulty.faults[sample.layers[1]["digest"]] = ["reset"] * 10
    assert (await rig.images.pull(f"{faulty.host}/app")).id == sample.id


async def test_wrong_bytes_are_refused(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    digest = sample.layers[1]["digest"]
    faulty.faults[digest] = ["corrupt"]
    with pytest.raises(Invalid, match=f"filesystem layer verification failed for digest {digest}"):
        await rig.images.pull(f"{faulty.host}/app")
    assert rig.left() == {}


async def test_more_bytes_than_promised_are_refused(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    faulty.faults[sample.layers[1]["digest"]] = ["longer"]
    with pytest.raises(Invalid, match=r"more than the .* bytes promised"):
        await rig.images.pull(f"{faulty.host}/app")
    assert rig.left() == {}


async def test_a_manifest_that_is_not_what_was_asked_for_is_refused(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    digest = sha256(sample.manifest)
    faulty.faults[digest] = ["corrupt"]
    with pytest.raises(Invalid, match=f"manifest verification failed for digest {digest}"):
        await rig.images.pull(f"{faulty.host}/app@{digest}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m | {"manifests": []}, "both layers and manifests"),
        (lambda m: m | {"layers": m["layers"][:1]}, "the manifest has 1 layers, but the image configuration 2"),
        (lambda m: m | {"layers": m["layers"][::-1]}, "its content is sha256:"),
        (lambda m: m | {"config": m["config"] | {"size": m["config"]["size"] + 1}}, "bytes where the manifest promises"),
        (lambda m: m | {"config": m["config"] | {"size": 1 << 40}}, "more than the limit"),
        (lambda m: m | {"layers": [m["layers"][0] | {"size": 5}, m["layers"][1]]}, "more than the 5 bytes promised"),
        (lambda m: m | {"layers": [m["layers"][0] | {"digest": "sha256:../../x"}]}, "digest"),
        (lambda m: m | {"schemaVersion": 1}, "schema 1 is no longer supported"),
    ],
)
async def test_a_manifest_that_lies_is_refused(
    rig: Rig, faulty: FaultyRegistry, sample: Sample, change: Any, words: str
) -> None:
    faulty.add_document(change(json.loads(sample.manifest)), "lying")
    with pytest.raises(FirkinError, match=words):
        await rig.images.pull(f"{faulty.host}/app:lying")
    assert set(rig.left()) <= {"ingest"}


async def test_what_a_cancelled_pull_has_is_not_fetched_again(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    digest, size = sample.layers[1]["digest"], sample.layers[1]["size"]
    faulty.faults[digest] = ["stall"]
    pull = asyncio.ensure_future(rig.images.pull(f"{faulty.host}/app", watch=rig.watch))
    await until(lambda: (arriving := rig.content.arriving(digest)) and arriving.offset == size // 2)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert rig.left() == {"ingest": [digest.removeprefix("sha256:")]}
    await rig.restart()
    assert (await rig.images.pull(f"{faulty.host}/app")).id == sample.id
    assert faulty.requests(digest)[-1].headers["Range"] == f"bytes={size // 2}-"


async def test_another_pull_goes_on_when_the_one_that_fetches_is_cancelled(
    rig: Rig, faulty: FaultyRegistry, sample: Sample
) -> None:
    digest = sample.layers[1]["digest"]
    faulty.faults[digest] = ["stall"]
    first = asyncio.ensure_future(rig.images.pull(f"{faulty.host}/app"))
    await until(lambda: faulty.requests(digest))
    second = asyncio.ensure_future(rig.images.pull(f"{faulty.host}/app"))
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await second).id == sample.id
    assert first.cancelled()


async def test_a_redirected_download_takes_no_credentials_along(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    from firkin.images.auth import Credentials

    async with FaultyRegistry(5002, blobs=faulty.blobs) as elsewhere:
        faulty.redirect, faulty.users = f"http://{elsewhere.host}", {"ann": "secret"}
        image = await rig.images.pull(f"{faulty.host}/app", credentials=Credentials("ann", "secret"))
        assert image.id == sample.id
        assert faulty.requests("/v2/app/blobs/")[0].headers["Authorization"] == "Bearer good-token"
        assert all("Authorization" not in seen.headers for seen in elsewhere.seen)


async def test_a_registry_that_is_not_there_is_an_error_at_once(rig: Rig) -> None:
    with pytest.raises(Unavailable, match=r'Get "http://127.0.0.1:9/v2/": connection refused'):
        await asyncio.wait_for(rig.images.pull("127.0.0.1:9/app"), 1)


async def test_mirrors_are_asked_first(rig: Rig, faulty: FaultyRegistry, sample: Sample) -> None:
    async with FaultyRegistry(5002) as empty:
        rig.settings["registry_mirrors"] = (f"http://{empty.host}", f"http://{faulty.host}")
        rig.open()
        image = await rig.images.pull("app")
        assert image.tags == ["app:latest"]
        assert empty.requests("/v2/library/app/manifests/latest")
        assert faulty.requests("/v2/library/app/manifests/latest", "HEAD")
    rig.settings = {"mirrors": {"registry.example": (f"http://{faulty.host}",)}}
    rig.open()
    assert (await rig.images.pull("registry.example/team/app")).tags == ["app:latest", "registry.example/team/app:latest"]


async def test_a_full_disk_is_told_and_freed(faulty: FaultyRegistry, sample: Sample, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-m", "--propagation", "private", "sh", "-ec", 'mount -t tmpfs -o size=512k none "$0"; exec "$@"'),
        *(str(tmp_path), sys.executable, "-m", "tests.images.full_disk", str(tmp_path), f"{faulty.host}/app"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert "no space left on device" in out.decode()
    assert out.decode().endswith("left: {}\n")
