"""Blobs and records: whole or not at all, whatever breaks off."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from firkin.errors import Conflict, Internal, Invalid, NotFound
from firkin.model import Container, ContainerConfig, Endpoint, HostConfig, MountPoint, PortBinding
from firkin.oci.digest import digest_of
from firkin.storage.records import read_record, write_record
from tests.storage.rig import Store

DATA = os.urandom(3 << 20)
DIGEST = digest_of(DATA)


def test_a_download_that_broke_off_goes_on_where_it_stopped(store: Store) -> None:
    with store.content.ingest(DIGEST, len(DATA)) as ingest:
        ingest.write(DATA[:1000000])
    assert not store.content.has(DIGEST) and store.content.arriving(DIGEST) is None
    with store.content.ingest(DIGEST, len(DATA)) as ingest:
        assert ingest.offset == 1000000
        ingest.write(DATA[1000000:])
        assert ingest.commit() == DIGEST
    assert store.content.read(DIGEST) == DATA and store.content.list() == [DIGEST]
    assert os.listdir(store.layout.ingest) == [] and store.content.delete(DIGEST) == len(DATA)
    assert store.content.delete(DIGEST) == 0
    with pytest.raises(NotFound):
        store.content.open(DIGEST)


@pytest.mark.parametrize("data", [DATA[:-1], b"x" + DATA[1:], b""], ids=["short", "wrong", "nothing"])
def test_what_was_not_promised_is_not_kept(store: Store, data: bytes) -> None:
    with store.content.ingest(DIGEST, len(DATA)) as ingest:
        ingest.write(data)
        with pytest.raises(Invalid):
            ingest.commit()
    assert os.listdir(store.layout.ingest) == [] and store.content.list() == []


def test_more_than_was_promised_is_refused_before_it_is_written(store: Store) -> None:
    with store.content.ingest(DIGEST, 10) as ingest, pytest.raises(Invalid, match="more than the 10 bytes"):
        ingest.write(DATA)


def test_one_blob_arrives_once_at_a_time(store: Store) -> None:
    with store.content.ingest(DIGEST, len(DATA)), pytest.raises(Conflict):
        store.content.ingest(DIGEST, len(DATA))


def test_sweeping_takes_what_was_left_but_not_what_is_arriving(store: Store) -> None:
    other = digest_of(b"other")
    with store.content.ingest(other, 100) as ingest:
        ingest.write(b"12345")
    with store.content.ingest(DIGEST, len(DATA)) as ingest:
        ingest.write(DATA[:10])
        assert store.content.sweep() == 5
        ingest.write(DATA[10:])
        ingest.commit()
    assert store.content.has(DIGEST)


CONTAINER = Container(
    id="a" * 64,
    name="x",
    created=1,
    config=ContainerConfig(cmd=("a", "b"), env=("A=b",) * 10, entrypoint=None, labels={"ü": "\udcff"[:0]}),
    host=HostConfig(),
    image_id="sha256:" + "0" * 64,
    path="/bin/sh",
    args=("-c",),
    mounts=(MountPoint("bind", "/a", "/b"),),
    endpoints={"bridge": Endpoint("bridge", "x")},
    ports={"80/tcp": (PortBinding("", "8080"),)},
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "record.json")
    write_record(path, CONTAINER)
    assert read_record(path, Container) == CONTAINER and os.listdir(tmp_path) == ["record.json"]
    write_record(path, {"a": 1}, durable=True)
    with pytest.raises(Internal):
        read_record(path, Container)
    with pytest.raises(NotFound):
        read_record(path + "x", Container)
    with pytest.raises(OSError):
        write_record(str(tmp_path / "no" / "record"), CONTAINER)


def test_writing_a_record_takes_a_fraction_of_a_millisecond(tmp_path: Path) -> None:
    times = []
    for _ in range(50):
        before = time.perf_counter()
        write_record(str(tmp_path / "record.json"), CONTAINER)
        times.append(time.perf_counter() - before)
    print(f"write_record: {min(times) * 1e3:.3f} ms at best")
    assert min(times) < 0.001
