"""References, and the documents they lead to: digests, manifests, indexes, image configurations, platforms, times."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from hypothesis import strategies as st

from firkin.errors import Invalid, Unsupported
from firkin.images.times import format_time, parse_moment, parse_time
from firkin.oci.digest import hex_of, parse_digest
from firkin.oci.image import encode_image_config, parse_image_config
from firkin.oci.manifest import (
    LARGEST_MANIFEST,
    MANIFEST_TYPES,
    MOST_LAYERS,
    Index,
    Manifest,
    encode,
    parse_manifest,
)
from firkin.oci.platform import Platform, choose, normalise, parse_platform
from firkin.oci.reference import parse_reference
from tests.fuzz.rig import fuzzed, passes, remembered
from tests.fuzz.samples import clean_text, json_bytes, mutated_text
from tests.oci.test_documents import IMAGE, INDEX, A, B

HEX = re.compile(r"[0-9a-f]{64}")
SHA = "sha256:" + "0123456789abcdef" * 4

PLATFORM = {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1", "os.features": ["a"]}
ENTRY = {
    "mediaType": MANIFEST_TYPES[0],
    "digest": A,
    "size": 7,
    "platform": PLATFORM,
    "annotations": {"a": "b"},
    "urls": ["http://a/b"],
}
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2020-01-02T03:04:05.678Z",
    "rootfs": {"type": "layers", "diff_ids": [A, B]},
    "history": [{"created": "2020-01-02T03:04:05Z", "created_by": "x", "empty_layer": True}, {"created_by": "y"}],
    "config": {
        "User": "a:b", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=1"], "Entrypoint": ["/x"], "Cmd": ["y"], "Volumes": {"/v": {}}, "WorkingDir": "/w", "Labels": {"a": "b"},
        "StopSignal": "SIGTERM", "StopTimeout": 3, "Shell": ["/bin/sh"], "OnBuild": ["RUN x"], "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1, "Retries": 2},
    },
}  # fmt: skip


@fuzzed(
    mutated_text(
        "nginx",
        "ghcr.io/owner/tool:v1",
        f"localhost:5000/a@{SHA}",
        "[::1]:5000/a/b__c",
        "index.docker.io/x",
        "a" * 64,
        f"A.B/c-d:t@{SHA}",
    )
)
@remembered("a/" * 20000 + "b")
@remembered("a" * 40000 + "!")
def test_reference(text: str) -> None:
    """Whatever the text, it is a reference that parses to itself again in both its spellings, or it is Invalid; its path
    has no `..`, so that a URL built of it stays below the repository."""
    found = passes(lambda: parse_reference(text), Invalid)
    if found:
        assert parse_reference(str(found)) == found and parse_reference(found.familiar) == found
        assert not {"", ".", ".."} & set(found.path.split("/")) and found.name.isascii() and "%" not in str(found)


@fuzzed(mutated_text(SHA, "sha512:" + "a" * 128, "SHA256:" + "A" * 64, SHA + "\n", SHA + "/../x"))
def test_digest(text: str) -> None:
    """Whatever the text, it is a digest whose name is 64 hex digits, safe as a file name, or it is Invalid."""
    found = passes(lambda: parse_digest(text), Invalid)
    assert found is None or HEX.fullmatch(hex_of(found))


@fuzzed(
    json_bytes(IMAGE, INDEX, IMAGE | {"annotations": {"a": "b"}, "subject": ENTRY}, INDEX | {"manifests": [ENTRY, ENTRY]}),
    st.sampled_from(("", *MANIFEST_TYPES, INDEX["mediaType"], "text/html; x")),
)
def test_manifest(data: bytes, sent_as: str) -> None:
    """Whatever the bytes and however they are called, they are one manifest or one index within the limits, which reads the
    same when written again, or they are Invalid or Unsupported."""
    found = passes(lambda: parse_manifest(data, sent_as), Invalid, Unsupported)
    if found is None:
        return
    assert len(data) <= LARGEST_MANIFEST and parse_manifest(encode(found)) == found
    blobs = [found.config, *found.layers] if isinstance(found, Manifest) else list(found.manifests)
    assert (
        all(HEX.fullmatch(hex_of(blob.digest)) and 0 <= blob.size < 2**63 for blob in blobs) and len(blobs) <= MOST_LAYERS + 1
    )
    if isinstance(found, Index):
        chosen = found.choose(Platform("amd64", "linux"))
        assert chosen is None or chosen in found.manifests


@fuzzed(json_bytes(CONFIG, {"rootfs": {"type": "layers", "diff_ids": []}}))
def test_image_config(data: bytes) -> None:
    """Whatever the bytes, they are an image configuration whose layers' names are digests and which reads the same when
    written again, or they are Invalid."""
    found = passes(lambda: parse_image_config(data), Invalid)
    if found:
        assert all(HEX.fullmatch(hex_of(digest)) for digest in (*found.rootfs.diff_ids, *found.rootfs.chain))
        again = parse_image_config(encode_image_config(found))
        assert msgspec.structs.replace(again, id=found.id) == found
        normalise(found.platform)
        assert isinstance(parse_time(found.created), int)


@fuzzed(mutated_text("linux/amd64", "linux/arm/v7", "arm64", "linux", "Linux/AARCH64/8"))
def test_platform(text: str) -> None:
    """Whatever the text, it is a platform that means the same when written and read again, or it is Invalid."""
    found = passes(lambda: parse_platform(text), Invalid)
    if found:
        assert parse_platform(str(found)) == found and choose([found], found) == 0


@fuzzed(
    clean_text(
        "2020-01-02T03:04:05Z",
        "2020-01-02T03:04:05.678901234+05:30",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9-23:59",
        "24h",
        "1h30m",
        "10.5s",
        "1136073600.5",
        "2020-01-02",
    )
)
@remembered("9" * 400)
@remembered("9" * 400 + "h")
@remembered("9" * 300 + "h")
def test_times(text: str) -> None:
    """Whatever the text, it is a moment that can be shown, no moment (0), or Invalid."""
    moment = parse_time(text)
    assert parse_time(format_time(moment)) == moment
    assert isinstance(passes(lambda: parse_moment(text), Invalid), int | None)
