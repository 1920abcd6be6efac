"""Manifests, indexes, image configurations and platforms: strict about what they are, calm about anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import Invalid, Unsupported
from firkin.oci.digest import digest_of
from firkin.oci.image import chain_id, encode_image_config, parse_image_config
from firkin.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    LARGEST_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    encode,
    parse_manifest,
)
from firkin.oci.platform import Platform, choose, host_platform, normalise, parse_platform, preference, serves

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": A, "size": 2}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": B, "size": 3}
IMAGE: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def text(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_manifest_reads_as_it_was_written() -> None:
    manifest = parse_manifest(text(IMAGE), OCI_MANIFEST)
    assert isinstance(manifest, Manifest)
    assert (manifest.config.digest, manifest.layers[0].size, manifest.layers[0].compression) == (A, 3, "gzip")
    assert parse_manifest(encode(manifest)) == manifest


@pytest.mark.parametrize(
    ("document", "sent_as", "kind"),
    [
        (IMAGE, "", Manifest),
        (IMAGE, f"{OCI_MANIFEST}; charset=utf-8", Manifest),
        (IMAGE, "application/json", Manifest),
        ({k: v for k, v in IMAGE.items() if k != "mediaType"}, "", Manifest),
        (IMAGE | {"mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST, Manifest),
        (IMAGE | {"annotations": None}, "", Manifest),
        (INDEX, OCI_INDEX, Index),
        ({k: v for k, v in INDEX.items() if k != "mediaType"}, "", Index),
        (INDEX | {"mediaType": DOCKER_LIST}, DOCKER_LIST, Index),
    ],
)
def test_what_agrees_with_itself_is_taken(document: object, sent_as: str, kind: type) -> None:
    assert isinstance(parse_manifest(text(document), sent_as), kind)


@pytest.mark.parametrize(
    ("document", "sent_as"),
    [
        (IMAGE | {"manifests": []}, OCI_MANIFEST),
        (INDEX | {"layers": []}, OCI_INDEX),
        (INDEX | {"config": CONFIG}, OCI_INDEX),
        (IMAGE, OCI_INDEX),
        (INDEX, OCI_MANIFEST),
        (IMAGE | {"mediaType": OCI_INDEX}, ""),
        (INDEX | {"mediaType": OCI_MANIFEST}, ""),
        ({k: v for k, v in INDEX.items() if k != "mediaType"}, OCI_MANIFEST),
        (IMAGE | {"mediaType": "text/plain"}, ""),
        (IMAGE | {"mediaType": 5}, ""),
        (IMAGE | {"schemaVersion": 3}, ""),
        (IMAGE | {"layers": [LAYER | {"size": -1}]}, ""),
        (IMAGE | {"layers": [LAYER | {"size": 1 << 70}]}, ""),
        (IMAGE | {"layers": [LAYER | {"size": True}]}, ""),
        (IMAGE | {"layers": [LAYER | {"digest": A + "\n"}]}, ""),
        (IMAGE | {"layers": [LAYER | {"digest": "sha256:../../etc/passwd"}]}, ""),
        (IMAGE | {"layers": [LAYER | {"digest": "md5:" + "a" * 32}]}, ""),
        (IMAGE | {"layers": [LAYER] * 1001}, ""),
        ([], ""),
        ("x", ""),
    ],
)
def test_what_could_be_taken_for_two_things_is_refused(document: object, sent_as: str) -> None:
    with pytest.raises(Invalid, match="parse manifest: "):
        parse_manifest(text(document), sent_as)


def test_limits_hold() -> None:
    for data in (b" " * (LARGEST_MANIFEST + 1), b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b""):
        with pytest.raises(Invalid):
            parse_manifest(data)
    with pytest.raises(Unsupported, match="schema 1 is no longer supported"):
        parse_manifest(text({"schemaVersion": 1}))
    with pytest.raises(Unsupported, match="unsupported media type"):
        _ = Descriptor("application/vnd.oci.image.layer.v1.tar+encrypted", digest_of(b""), 0).compression


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from([A, OCI_MANIFEST, 2]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*LAYER, *IMAGE, *INDEX, "os", "rootfs"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=60)
    | JSON.map(text)
    | st.dictionaries(st.sampled_from([*IMAGE, *INDEX]), JSON).map(lambda d: text(IMAGE | d))
)
def test_any_bytes_are_a_document_or_an_error_that_says_so(data: bytes) -> None:
    for parse in (parse_manifest, parse_image_config):
        try:
            parse(data)
        except (Invalid, Unsupported):
            pass


def test_an_images_id_is_the_digest_of_its_bytes() -> None:
    data = (
        b'{"id": "liar", "os": "linux", "config": {"Cmd": null, "Env": ["A"]}, "rootfs": {"type": "layers", "diff_ids": []} }'
    )
    config = parse_image_config(data)
    assert config.id == digest_of(data)
    assert (config.config.cmd, config.config.env) == (None, ("A",))
    assert b"liar" not in encode_image_config(config)
    assert b"sha256" not in encode_image_config(config)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"rootfs": {"type": "windows", "diff_ids": []}},
        {"rootfs": {"type": "layers", "diff_ids": ["x"]}},
        {"rootfs": {"type": "layers", "diff_ids": []}, "history": [{"created_by": "RUN"}]},
        {"rootfs": {"type": "layers", "diff_ids": []}, "config": {"Env": "A=1"}},
    ],
)
def test_a_configuration_that_fits_no_image_is_refused(document: object) -> None:
    with pytest.raises(Invalid, match="parse image configuration: "):
        parse_image_config(text(document))


def test_chain_ids_are_those_of_the_spec() -> None:
    first, second = digest_of(b"1"), digest_of(b"2")
    assert chain_id(None, first) == first
    assert chain_id(first, second) == digest_of(f"{first} {second}".encode())


def test_platforms_have_one_spelling() -> None:
    for spelling in ("linux/arm64/v8", "linux/aarch64", "arm64", "Linux/ARM64"):
        assert str(parse_platform(spelling)) == "linux/arm64"
    assert str(parse_platform("arm")) == "linux/arm/v7"
    assert parse_platform("linux") == host_platform()
    for bad in ("", "a/b/c/d", "linux/", "a b"):
        with pytest.raises(Invalid, match="is an invalid OS or platform"):
            parse_platform(bad)


def test_the_best_offer_is_chosen() -> None:
    offers = [
        None,
        Platform("386", "linux"),
        Platform("arm", "linux", "v6"),
        Platform("amd64", "linux"),
        Platform("amd64", "windows"),
    ]
    assert choose(offers, parse_platform("linux/amd64")) == 3
    assert choose(offers[:3], parse_platform("linux/amd64")) == 1
    assert choose(offers, parse_platform("linux/arm64")) == 2
    assert choose(offers, parse_platform("linux/s390x")) is None


@given(
    st.builds(
        Platform,
        st.sampled_from(["amd64", "x86_64", "arm", "arm64", "riscv64"]),
        st.just("linux"),
        st.sampled_from(["", "v6", "v7", "v8"]),
    )
)
def test_a_platform_serves_itself_best(platform: Platform) -> None:
    assert preference(platform)[0] == normalise(normalise(platform)) == normalise(platform)
    assert serves(platform, platform)
