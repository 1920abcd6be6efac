"""Out of the specification's JSON schema, for one configuration that has every field of it: all that break it in one place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).parents[1] / "data/oci"  # of the specification, unchanged
ELSEWHERE = {"solaris", "windows", "vm", "zos", "freebsd", "commandLine", "username"}  # other platforms'
FULL: dict[str, Any] = json.loads((SCHEMA.parent / "oci-every-field.json").read_text())

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
}
_OTHERS: tuple[Any, ...] = ("text", 7, True, 1.5, ["x"], {"x": "y"})
_GONE = object()


class Violation:
    """`config` is wrong at `field` (as in "mounts[0].source") only; `kind` says how: "type", "minimum", "enum" ..."""

    def __init__(self, path: tuple[str | int, ...], kind: str, value: Any) -> None:
        self.field = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path).lstrip(".")
        self.kind, self._path, self.value = kind, path, value

    def __repr__(self) -> str:
        return f"{self.field} {self.kind} {'' if self.value is _GONE else self.value!r}"

    @property
    def config(self) -> dict[str, Any]:
        config = copy.deepcopy(FULL)
        place: Any = config
        for one in self._path[:-1]:
            place = place[one]
        if self.value is _GONE:
            del place[self._path[-1]]
        else:
            place[self._path[-1]] = copy.deepcopy(self.value)
        return config


def all_of_them() -> Iterator[Violation]:
    documents = {path.name: json.loads(path.read_text()) for path in SCHEMA.glob("*.json")}
    yield from _below(documents, "config-schema.json", documents["config-schema.json"], FULL, ())


def _below(documents: Any, file: str, schema: Any, value: Any, path: tuple[str | int, ...]) -> Iterator[Violation]:
    """Of the part of the schema that says what `value` must be; `file` is what its references are relative to."""
    if "$ref" in schema:
        other, _, pointer = schema["$ref"].partition("#/")
        found = documents[other or file]
        for word in pointer.split("/") if pointer else ():
            found = found[word]
        yield from _below(documents, other or file, found, value, path)
        return
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        yield from _below(documents, file, part, value, path)
    if path:
        yield from _here(schema, path)
    for word in schema.get("required", ()):
        yield Violation((*path, word), "required", _GONE)
    for word, part in schema.get("properties", {}).items():
        if word not in ELSEWHERE:
            yield from _below(documents, file, part, value[word], (*path, word))  # a KeyError: it is missing in FULL
    if isinstance(value, list) and "items" in schema and value:
        yield from _below(documents, file, schema["items"], value[0], (*path, 0))
    for part in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        for word in value if isinstance(part, dict) else ():
            yield from _below(documents, file, part, value[word], (*path, word))


def _here(schema: Any, path: tuple[str | int, ...]) -> Iterator[Violation]:
    if kind := schema.get("type"):
        right = _KINDS[kind]
        for value in _OTHERS:
            if type(value) not in right:
                yield Violation(path, "type", value)
    for word, step in (("minimum", -1), ("maximum", 1)):
        if word in schema:
            yield Violation(path, word, schema[word] + step)
            yield Violation(path, word, schema[word] + (step << 70))
    if "enum" in schema:
        first = schema["enum"][0]
        yield from (Violation(path, "enum", value) for value in (first + "X", first.swapcase(), "X" + first, "-"))
    if "pattern" in schema:
        misfits = (value for value in ("-", "x", "RLIMIT_", "1mb") if not re.search(schema["pattern"], value))
        yield from (Violation(path, "pattern", value) for value in misfits)
    if schema.get("minItems"):
        yield Violation(path, "minItems", [])
