"""Docker's API definition as a judge of JSON: types, required members, enumerations, and no member it does not know."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import yaml

# Pointers in Go that the definition does not call nullable; tests/data/dockerd-20.10.json has them null.
POINTERS = {"MemorySwappiness", "OomKillDisable"}

DEFINITION = Path(__file__).parent.parent / "data" / "docker-engine-api.yaml"


@functools.cache
def document() -> dict[str, Any]:
    return yaml.load(DEFINITION.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # type: ignore[no-any-return]


def _merged(node: dict[str, Any]) -> dict[str, Any]:
    """`node` with its references followed and its `allOf` folded into one object."""
    if "$ref" in node:
        return _merged(document()["definitions"][node["$ref"].rpartition("/")[2]])
    if "allOf" not in node:
        return node
    whole: dict[str, Any] = {key: value for key, value in node.items() if key != "allOf"}
    whole["properties"] = dict(node.get("properties", {}))
    for part in map(_merged, node["allOf"]):
        whole["properties"] = part.get("properties", {}) | whole["properties"]
        whole.setdefault("type", part.get("type", "object"))
        whole.update({key: part[key] for key in ("enum",) if key in part})
    return whole if whole["properties"] else {key: value for key, value in whole.items() if key != "properties"}


def _closed(node: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The JSON schema for `node`: Go's nil slices and maps are null, and unknown members are refused."""
    node = _merged(node)
    kind = node.get("type")
    if depth > 12 or kind is None:
        return {}
    schema: dict[str, Any] = {"type": kind}
    if node.get("x-nullable") is True or (kind in ("array", "object") and node.get("x-nullable") is not False):
        schema["type"] = [kind, "null"]
    if kind == "array":
        schema["items"] = _closed(node.get("items", {}), depth + 1)
    if "properties" in node:
        members = {name: {**m, "x-nullable": True} if name in POINTERS else m for name, m in node["properties"].items()}
        schema["properties"] = {name: _closed(member, depth + 1) for name, member in members.items()}
        schema["additionalProperties"] = False
        schema["required"] = node.get("required", [])
    elif isinstance(node.get("additionalProperties"), dict):
        schema["additionalProperties"] = _closed(node["additionalProperties"], depth + 1)
    schema.update({key: node[key] for key in ("enum", "minimum", "pattern", "minItems", "maxItems") if key in node})
    return schema


@functools.cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_closed({"$ref": f"#/definitions/{name}"}))


def check(value: Any, name: str) -> None:
    """Assert that `value` is what the definition `name` says."""
    _report(_validator(name), value, name)


def check_reply(value: Any, method: str, path: str, status: int = 200) -> None:
    """The same for what a route answers."""
    schema = document()["paths"][path][method]["responses"][status]["schema"]
    _report(jsonschema.Draft202012Validator(_closed(schema)), value, f"{method} {path}")


def _report(validator: jsonschema.Draft202012Validator, value: Any, what: str) -> None:
    errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(json.loads(json.dumps(value)))]
    assert not errors, f"{what}:\n" + "\n".join(errors)
