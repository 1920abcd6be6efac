"""`spec`, `features`, `state`: what they print is valid, and runs."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from tests.ocirt.conftest import Bundle, Runtime

SCHEMAS = Path(__file__).parent.parent / "data/oci"


def test_spec_is_valid_and_runs(runtime: Runtime, tmp_path: Path, busybox_root: Path) -> None:
    runtime.call("spec", "--bundle", str(tmp_path))
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    assert content["process"]["args"] == ["sh"]
    runtime.call("spec", "--bundle", str(tmp_path), check=1)
    content["process"].update(terminal=False, args=["echo", "runs"])
    content["root"]["path"] = str(busybox_root)
    path.write_text(json.dumps(content))
    assert runtime.call("run", "-b", str(tmp_path), "box").stdout == "runs\n"


def test_rootless_spec_runs(runtime: Runtime, tmp_path: Path, busybox_root: Path) -> None:
    runtime.call("spec", "--rootless", "-b", str(tmp_path))
    content = json.loads((tmp_path / "config.json").read_text())
    assert {"type": "user"} in content["linux"]["namespaces"]
    assert content["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 0, "size": 1}]
    content["process"].update(terminal=False, args=["id", "-u"])
    content["root"]["path"] = str(busybox_root)
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert runtime.call("run", "-b", str(tmp_path), "box").stdout == "0\n"


def validator(name: str) -> jsonschema.Draft4Validator:
    documents = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    for document in documents.values():
        document.setdefault("$schema", "http://json-schema.org/draft-04/schema#")
    registry: Registry[Any] = Registry().with_resources((key, Resource.from_contents(doc)) for key, doc in documents.items())
    return jsonschema.Draft4Validator(documents[name], registry=registry)


@pytest.mark.parametrize(("words", "name"), [(("features",), "features-schema.json"), (("state", "box"), "state-schema.json")])
def test_output_is_as_the_schema_says(oci: Runtime, bundle: Bundle, words: tuple[str, ...], name: str) -> None:
    oci.create(bundle)
    content = json.loads(oci.call(*words).stdout)
    validator(name).validate(content)


def test_the_state_directory_is_roots_own(oci: Runtime, bundle: Bundle) -> None:
    oci.create(bundle)
    for path in oci.root.rglob("*"):
        assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) or path.is_socket()
    assert not oci.root.stat().st_mode & 0o077
