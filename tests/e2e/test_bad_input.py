"""Bad input, through the whole engine: a clear error, no file outside the data root, and in it nothing that was not there."""

from __future__ import annotations

import gzip
import json
import os
import random
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.conftest import IMAGE
from tests.e2e.served import Served
from tests.e2e.traces import names
from tests.images.faulty import FaultyRegistry
from tests.images.rig import Sample
from tests.images.rig import tar_of as tar_of_files
from tests.lab import Engine, Lab, busybox_tar, wait_until
from tests.storage.rig import Member, folder, hard_link, link, member, tar_of

LIMIT = 4 << 20
GOOD = Sample(tar_of_files({"small": b"1"}), tar_of_files({"big": random.Random(1).randbytes(1_000_000)}))


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Engine:
    """One that unpacks no more than four mebibytes a layer."""
    config = lab.dir / "daemon.json"
    config.write_text(json.dumps({"max-unpacked-bytes": LIMIT}))
    engine = Engine(lab, "bad", "--config-file", str(config)).start()
    engine.firkin("import", str(busybox_tar(lab.dir)), IMAGE)
    engine.docker("run", "--rm", IMAGE, "true")
    wait_until(lambda: not os.listdir(engine.dir / "data/containers"))  # of which nobody who waits for the client need know
    return engine


@pytest.fixture(scope="module")
def registry(lab: Lab, engine: Engine, patient: dict[str, Future[Any]]) -> Iterator[FaultyRegistry]:
    with Served(lab) as registry:
        registry.add(GOOD)
        yield registry


@pytest.fixture(scope="module")
def victim(lab: Lab) -> Path:
    """A directory beside the engine's own, at which hostile archives aim."""
    victim = lab.dir / "victim"
    victim.mkdir()
    (victim / "file").write_text("host's own")
    return victim


@pytest.fixture
def untouched(engine: Engine, victim: Path) -> Iterator[None]:
    """What a test must leave as it was: everything outside the data root that it can reach, and all of the data root."""

    def around() -> list[Any]:
        listed = [names(directory, 1) for directory in (engine.lab.dir, Path("/etc"), Path("/dev"))]
        return [*listed, os.listdir(victim), (victim / "file").read_text(), victim.stat().st_mode]

    before, data = around(), names(engine.dir / "data", 3)
    yield
    assert around() == before
    wait_until(lambda: names(engine.dir / "data", 3) == data, 10, lambda: set(names(engine.dir / "data", 3)) ^ set(data))


# --- references ------------------------------------------------------------------------------------------------------------

MALFORMED = [
    "UPPER", "a//b", "a:b:c", "-x", "a@sha256:1", "a@sha256:" + "g" * 64, "x" * 300, "a:" + "t" * 129, ":tag",
    "http://x/y", "a/", "..", "../../etc", "a..b", "é", "a@sha256", "f" * 64, "/x", "a___b", "a b", "a\nb", "a\0b", "a%00",
]  # fmt: skip


@pytest.mark.parametrize("reference", MALFORMED, ids=lambda text: ascii(text)[1:13])
def test_malformed_references(engine: Engine, untouched: None, reference: str) -> None:
    """Clients look at them first; the engine does not rely on that."""
    asked = quote(reference, safe="")
    for method, path in (
        ("POST", f"/images/create?fromImage={asked}"),
        ("POST", f"/images/{quote(IMAGE, safe='')}/tag?repo={asked}"),
        ("POST", f"/images/{asked}/push"),
    ):
        status, answer = engine.api().call(method, path)
        assert (status in (400, 404) and "message" in answer and status != 404) or "push" in path, (path, status, answer)
    status, answer = engine.api().call("POST", "/containers/create", {"Image": reference, "Cmd": ["true"]})
    assert status in (400, 404), answer
    for command in (engine.docker, engine.firkin):
        if "\0" not in reference:
            assert command("pull", "--", reference, check=False).returncode != 0


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"Image": 1}', b"[" * 100_000, b'{"Cmd": {"a": 1}, "Image": "x"}', b"\xff\xfe", b""]
)
def test_requests_that_are_none(engine: Engine, untouched: None, body: bytes) -> None:
    connection = engine.api()
    connection.request("POST", "/containers/create", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status in (400, 404) and json.loads(reply.read())["message"]
    assert engine.api().call("GET", "/_ping")[0] == 200


# --- registries that lie or break -----------------------------------------------------------------------------------------------


def lying(change: Any) -> dict[str, Any]:
    manifest = json.loads(GOOD.manifest)
    return manifest | change(manifest)


LIES = {
    "a smaller size": (lying(lambda m: {"layers": [m["layers"][0] | {"size": 5}, m["layers"][1]]}), "more than the 5 bytes"),
    "an absurd size": (lying(lambda m: {"config": m["config"] | {"size": 1 << 60}}), "more than the limit"),
    "a negative size": (lying(lambda m: {"config": m["config"] | {"size": -1}}), "size"),
    "no such digest": (lying(lambda m: {"layers": [m["layers"][0] | {"digest": "sha256:../../x"}]}), "digest"),
    "a layer that is the configuration": (lying(lambda m: {"layers": [m["config"], m["config"]]}), ""),
    "a configuration that is a layer": (lying(lambda m: {"config": m["layers"][0]}), ""),
    "a type unknown": (lying(lambda m: {"layers": [layer | {"mediaType": "text/html"} for layer in m["layers"]]}), "text/html"),
    "a manifest and an index": (lying(lambda m: {"manifests": []}), "both layers and manifests"),
    "layers too few": (lying(lambda m: {"layers": m["layers"][:1]}), "the manifest has 1 layers"),
    "layers in another order": (lying(lambda m: {"layers": m["layers"][::-1]}), "its content is sha256:"),
    "no configuration": (lying(lambda m: {"config": None}), ""),
    "schema 1": (lying(lambda m: {"schemaVersion": 1}), "schema 1 is no longer supported"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies(engine: Engine, registry: FaultyRegistry, untouched: None, lie: str) -> None:
    document, words = LIES[lie]
    registry.add_document(document, "lying")
    registry.blobs.update(GOOD.blobs)
    for client in (engine.docker, engine.firkin):
        done = client("pull", f"{registry.host}/app:lying", check=False)
        assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.strip(), "no reason given"


@pytest.mark.parametrize(
    ("fault", "words"),
    [("corrupt", "filesystem layer verification failed for digest sha256:"), ("longer", "bytes promised"), (404, "not found")],
)
def test_a_layer_that_is_not_what_was_promised(
    engine: Engine, registry: FaultyRegistry, untouched: None, fault: Any, words: str
) -> None:
    for client in (engine.docker, engine.firkin):
        registry.faults[GOOD.layers[1]["digest"]] = [fault]
        done = client("pull", f"{registry.host}/app", check=False)
        assert done.returncode == 1 and words in done.stderr.lower(), done.stderr
    registry.faults.clear()


def test_a_digest_that_was_asked_for(engine: Engine, registry: FaultyRegistry, untouched: None) -> None:
    digest = registry.add(GOOD)
    registry.faults[digest] = ["corrupt"]
    done = engine.docker("pull", f"{registry.host}/app@{digest}", check=False)
    assert done.returncode == 1 and f"manifest verification failed for digest {digest}" in done.stderr


@pytest.mark.parametrize("fault", ["reset", "truncate", 500, (429, 1)])
def test_a_fault_that_passes(engine: Engine, registry: FaultyRegistry, untouched: None, fault: Any) -> None:
    digest = GOOD.layers[1]["digest"]
    registry.seen.clear()
    registry.faults[digest] = [fault]
    started = time.monotonic()
    engine.docker("pull", f"{registry.host}/app")
    assert time.monotonic() - started > (1 if isinstance(fault, tuple) else 0)
    asked = registry.requests(digest)
    assert len(asked) == 2 and ("Range" in asked[1].headers) is isinstance(fault, str)
    engine.docker("rmi", f"{registry.host}/app")


# What the registry does with the one layer of an image; "short": the configuration has fewer bytes than promised.
SLOW: dict[str, list[Any]] = {"stall": ["stall"], "500": [500] * 20, "short": []}


@pytest.fixture(scope="module")
def patient(lab: Lab, engine: Engine) -> Iterator[dict[str, Future[Any]]]:
    """Pulls that take their time, each from a registry of its own, beside all other tests: started before the first of them."""
    other = Engine(lab, "patient", "--bridge", "none").start()
    with ThreadPoolExecutor(3) as pool, Served(lab, 5011) as registry:
        for fault in SLOW:
            sample = Sample(tar_of_files({fault: random.Random(fault).randbytes(100_000)}))
            manifest = json.loads(sample.manifest)
            registry.add(sample, fault)
            if fault == "short":
                registry.add_document(
                    manifest | {"config": manifest["config"] | {"size": manifest["config"]["size"] + 1}}, fault
                )
            else:
                registry.faults[sample.layers[0]["digest"]] = SLOW[fault]
        yield {
            fault: pool.submit(other.docker, "pull", f"{registry.host}/app:{fault}", check=False, timeout=80) for fault in SLOW
        }
    assert (
        len(names(other.dir / "data/ingest", 1)) <= 1
    )  # of the short one: a connection may have broken, so it is kept to go on
    other.stop()


# --- archives ---------------------------------------------------------------------------------------------------------------------


def hostile(victim: str) -> dict[str, list[Member]]:
    """Refused, each of them."""
    up = "../" * 30
    return {
        "a name with ..": [member(f"{up}{victim}/x", b"1")],
        "a name with .. in the middle": [folder("a"), member(f"a/{up}{victim}/x", b"1")],
        "a directory ..": [folder("..", mode=0o777)],
        "a hard link out": [hard_link("x", f"{up}{victim}/file")],
        "a hard link through a symlink out": [link("out", victim), hard_link("x", "out/file")],
        "a hard link to an absolute name": [hard_link("x", f"{victim}/file")],
        "a whiteout of ..": [folder("a"), member("a/.wh...", b"")],
        "links in a circle": [link("a", "b"), link("b", "a"), member("a/x", b"1")],
    }


def harmless(victim: str) -> dict[str, list[Member]]:
    """Taken, but everything stays within the layer."""
    return {
        "an absolute name": [member(f"{victim}/file", b"1")],
        "a symlink out, then a file through it": [link("out", victim), member("out/file", b"1"), member("out/new", b"2")],
        "a symlink up, then a file through it": [link("out", "../" * 30 + victim), member("out/file", b"1")],
        "a symlink out, then a file of its name": [link("f", f"{victim}/file"), member("f", b"1")],
        "a symlink out, then a mode for its name": [link("d", victim), folder("d", mode=0o777, uid=1)],
        "a symlink out, then a whiteout through it": [link("d", victim), member("d/.wh.file", b"")],
        "a hard link through a symlink out, then a file": [link("out", victim), hard_link("x", "out/file"), member("x", b"2")],
        "a hard link to an absolute name, then a file": [hard_link("x", f"{victim}/file"), member("x", b"2")],
        "a device, then a file of its name": [member("n", type=tarfile.BLKTYPE, devmajor=8), member("n", b"1")],
        "a device of the host's disk": [member("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o666)],
        "a fifo, then a file of its name": [member("n", type=tarfile.FIFOTYPE), member("n", b"1")],
        "proc and self": [link("r", "/proc/self/root"), member(f"r{victim}/file", b"1")],
    }


def ways_in(engine: Engine, registry: FaultyRegistry, layer: bytes, packing: str = "") -> Iterator[tuple[str, Any]]:
    """The same layer by pull, load and import; each yields how it went."""
    sample = Sample(layer, packing=packing)
    registry.add(sample, "hostile")
    yield "pull", engine.docker("pull", f"{registry.host}/app:hostile", check=False)
    archive = tar_of_files(
        {
            "layer.tar": sample.blobs[sample.layers[0]["digest"]],
            "config.json": sample.config,
            "manifest.json": json.dumps(
                [{"Config": "config.json", "RepoTags": ["evil:latest"], "Layers": ["layer.tar"]}]
            ).encode(),
        }
    )
    for way, data, argv in (("load", archive, ["load"]), ("import", layer, ["import", "-", "evil:latest"])):
        path = engine.dir / "client/archive"
        path.write_bytes(data)
        with path.open("rb") as stream:
            yield way, engine.docker(*argv, stdin=stream, check=False)
        path.unlink()


@pytest.mark.parametrize("trick", hostile(""))
def test_a_hostile_layer_is_refused(
    engine: Engine, registry: FaultyRegistry, victim: Path, untouched: None, trick: str
) -> None:
    for way, done in ways_in(engine, registry, tar_of(*hostile(str(victim))[trick])):
        assert done.returncode == 1 and done.stderr.strip(), (way, done.stdout)


@pytest.mark.parametrize("trick", harmless(""))
def test_a_hostile_layer_reaches_nothing(
    engine: Engine, registry: FaultyRegistry, victim: Path, untouched: None, trick: str
) -> None:
    """Not while it is unpacked, and not from the container it becomes either: that may not open the host's devices."""
    for way, done in ways_in(
        engine, registry, tar_of(*harmless(str(victim))[trick], member("sh", Path("/bin/busybox").read_bytes(), mode=0o755))
    ):
        assert done.returncode == 0, (way, done.stderr)
        name = f"{registry.host}/app:hostile" if way == "pull" else "evil:latest"
        if trick.startswith("a device of"):
            opened = engine.docker("run", "--rm", "--entrypoint", "/sh", name, "dd", "if=/sda", "of=/x", "count=1", check=False)
            assert (opened.returncode and "not permitted" in opened.stderr) or "can't open" in opened.stderr, opened
        engine.docker("rmi", name)


def test_a_layer_that_unpacks_without_end(engine: Engine, registry: FaultyRegistry, untouched: None) -> None:
    bomb = tar_of(member("zeros", bytes(256 << 20)))
    for way, done in ways_in(engine, registry, bomb, "+gzip"):
        if way == "import":
            continue  # below: packed
        assert done.returncode == 1 and f"more than the {LIMIT} bytes allowed" in done.stderr, (way, done.stderr)
    packed = engine.dir / "client/bomb.tar.gz"
    packed.write_bytes(gzip.compress(bomb, 9))
    for client in (engine.docker, engine.firkin):
        done = client("import", str(packed), "bomb", check=False)
        assert done.returncode == 1 and "bytes allowed" in done.stderr, done.stderr
    packed.unlink()


@pytest.mark.parametrize("cut", [100, 700, 1024 + 5000])
def test_a_truncated_layer(engine: Engine, registry: FaultyRegistry, untouched: None, cut: int) -> None:
    whole = tar_of(folder("d"), member("d/f", random.Random(3).randbytes(20_000)))
    for way, done in ways_in(engine, registry, whole[:cut]):
        assert done.returncode == 1 and "truncated" in done.stderr, (way, done.stderr)


# --- last, for it has been under way since the first test ---------------------------------------------------------------------------


def test_a_registry_that_stalls(patient: dict[str, Future[Any]]) -> None:
    done = patient["stall"].result()
    assert done.returncode == 0 and "Downloaded newer image" in done.stdout, done.stderr


def test_a_registry_that_goes_on_failing(patient: dict[str, Future[Any]]) -> None:
    done = patient["500"].result()
    assert done.returncode == 1 and "received unexpected HTTP status: 500 Internal Server Error" in done.stderr


def test_a_registry_that_has_less_than_promised(patient: dict[str, Future[Any]]) -> None:
    done = patient["short"].result()
    assert done.returncode == 1 and "bytes where the manifest promises" in done.stderr
