"""From Docker's CamelCase JSON to the engine's dataclasses, by the tables in `names`.

Members are renamed and regrouped, then msgspec checks every type. Unknown members are ignored, null is absent and
letter case does not matter, as in Go. For each class a tree of lower-case names is made once, whose leaves say where
a value goes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from firkin.api import names
from firkin.errors import Invalid

T = TypeVar("T")
Convert = Callable[[Any], Any]
Route = tuple[str, ...]

_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)


@dataclass(frozen=True)
class Leaf:
    """Where a value goes: `route` is the attribute's name, after those of the dataclasses it lies in."""

    route: Route
    convert: Convert | None


Tree = dict[str, Any]  # lower-case name -> Leaf or Tree


def decode(cls: type[T], document: dict[str, Any]) -> T:
    """`document`, as a client sent it, as a `cls`; raises `Invalid` naming the member that does not fit."""
    try:
        return msgspec.convert(rename(cls, document), cls)
    except msgspec.ValidationError as error:
        raise Invalid(f"invalid JSON: {_in_docker_words(cls, str(error))}") from None


def rename(cls: type, document: Any) -> Any:
    """The members of `document` under the names of `cls`; what is no object is left for msgspec to refuse."""
    if not isinstance(document, dict):
        return document
    renamed: dict[str, Any] = {}
    for route, make in _absent(cls):
        _put(renamed, route, make())
    _fill(renamed, _tree(cls), document)
    return renamed


def _fill(renamed: dict[str, Any], tree: Tree, document: dict[str, Any]) -> None:
    for key, value in document.items():
        node = tree.get(key.lower())
        if node is None or value is None:
            continue
        if isinstance(node, Leaf):
            _put(renamed, node.route, value if node.convert is None else node.convert(value))
        elif isinstance(value, dict):
            _fill(renamed, node, value)
        else:
            raise Invalid(f"invalid JSON: Expected `object` - at `{key}`")


def _put(target: dict[str, Any], route: Route, value: Any) -> None:
    for name in route[:-1]:
        target = target.setdefault(name, {})
    target[route[-1]] = value


# --- made once for each class --------------------------------------------------------------------------------------
@functools.cache
def _tree(cls: type) -> Tree:
    """The names under which the fields of `cls` arrive."""
    tree: Tree = {}
    hints = get_type_hints(cls)
    for field in fields(cls):
        place = names.place(cls, field.name)
        if place:
            _plant(tree, place, Leaf((field.name,), _converter(cls, field.name, hints[field.name])))
        else:
            _graft(tree, field.name, _tree(hints[field.name]))
    return tree


def _plant(tree: Tree, place: tuple[str, ...], leaf: Leaf) -> None:
    for name in place[:-1]:
        tree = tree.setdefault(name.lower(), {})
    tree[place[-1].lower()] = leaf


def _graft(tree: Tree, name: str, branch: Tree) -> None:
    """Let the members of a field that is flattened into its whole go to that field."""
    for key, node in branch.items():
        if isinstance(node, Leaf):
            tree[key] = Leaf((name, *node.route), node.convert)
        else:
            _graft(tree.setdefault(key, {}), name, node)


@functools.cache
def _absent(cls: type) -> list[tuple[Route, Callable[[], Any]]]:
    """What an object starts with: Docker's defaults, and an empty object for each field flattened into it."""
    found: list[tuple[Route, Callable[[], Any]]] = []
    for name, hint in get_type_hints(cls).items():
        if not names.place(cls, name):
            found.append(((name,), dict))
            found += [((name, *route), make) for route, make in _absent(hint)]
        elif (cls, name) in names.FALSE_WHEN_ABSENT:
            found.append(((name,), bool))
    return found


def _converter(cls: type, name: str, hint: Any) -> Convert | None:
    if (cls, name) in names.SETS:
        return lambda value: list(value) if isinstance(value, dict) else value
    if (cls, name) in names.STRING_OR_LIST:
        return lambda value: [value] if isinstance(value, str) else value
    return _renamer(hint)


def _renamer(hint: Any) -> Convert | None:
    """How to rename within a value of this type; None when there is nothing to rename."""
    if is_dataclass(hint) and isinstance(hint, type):
        return functools.partial(rename, hint)
    inner, origin = _inner(hint), get_origin(hint)
    within = _renamer(inner) if inner else None
    if origin is dict:
        return functools.partial(_each_value, within, _zero(inner))
    if within is None or origin is not tuple:
        return within
    return functools.partial(_each_item, within)


def _inner(hint: Any) -> Any:
    """What a container type holds (of a dictionary, its values), what an optional type is when it is there; else None."""
    parts = [part for part in get_args(hint) if part not in (type(None), Ellipsis)]
    return parts[-1] if parts else None


def _zero(hint: Any) -> Callable[[], Any]:
    """Go's zero value, which null is taken for in a map."""
    return list if get_origin(hint) is tuple else str if hint is str else dict


def _each_value(within: Convert | None, zero: Callable[[], Any], value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    filled = {key: zero() if member is None else member for key, member in value.items()}
    return filled if within is None else {key: within(member) for key, member in filled.items()}


def _each_item(within: Convert, value: Any) -> Any:
    return [within(item) for item in value if item is not None] if isinstance(value, list) else value


def _in_docker_words(cls: Any, message: str) -> str:
    """msgspec's message, its path (`$.host.resources.memory`) in the client's own words (`HostConfig.Memory`)."""
    match = _PATH.search(message)
    if not match:
        return message
    words: list[str] = []
    for word in re.findall(r"[a-z_]\w*", match[1]):
        words += names.place(cls, word)
        hint = get_type_hints(cls)[word]
        while hint is not None and not is_dataclass(hint):
            hint = _inner(hint)
        if hint is None:
            break
        cls = hint
    return f"{message[: match.start()]} - at `{'.'.join(words)}`"
