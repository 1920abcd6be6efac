"""Which images a list shows, and the history of one. Pure.

Source: Docker Engine API, `GET /images/json` (filters) and `GET /images/{name}/history`.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from firkin.errors import Invalid
from firkin.images.store import Image, ImageStore, find
from firkin.images.times import parse_moment, parse_time
from firkin.oci.digest import Digest
from firkin.oci.reference import Reference, parse_reference

Filters = Mapping[str, Sequence[str]]
_YES, _NO = ("1", "t", "true"), ("0", "f", "false")


@dataclass(frozen=True)
class HistoryEntry:
    """One step of an image's making, as `docker history` shows it. `id` is "<missing>" for all but known images."""

    id: str
    created: int  # seconds since the epoch, 0 when unknown
    created_by: str
    tags: tuple[str, ...]
    size: int
    comment: str


def select(store: ImageStore, filters: Filters, show_all: bool = False) -> list[Image]:
    """The images that pass every filter, newest first; without `show_all`, no untagged parents of others.
    Raises `Invalid` for an unknown filter."""
    tests = [_test(store, key, values) for key, values in filters.items()]
    images = [image for image in store if all(test(image) for test in tests)]
    if not show_all:
        images = [image for image in images if image.references or not store.children(image.id)]
    return sorted(images, key=created_ns, reverse=True)


def prunable(store: ImageStore, filters: Filters) -> list[str]:
    """What to remove, each by name or id, so that unneeded images go: untagged ones; with dangling=false any. Containers
    are not looked at here."""
    dangling = _boolean(filters["dangling"][-1]) if filters.get("dangling") else True
    rest = {key: values for key, values in filters.items() if key != "dangling"}
    names: list[str] = []
    for image in select(store, rest):
        if not dangling or not image.tags:
            names += [str(reference) for reference in image.references] or [image.id]
    return names


def shared_sizes(store: ImageStore, size: Callable[[Digest], int]) -> dict[Digest, int]:
    """For each image, the bytes of those of its layers that another image has too."""
    images = list(store)
    owners = Counter(chain for image in images for chain in set(image.chain))
    return {image.id: sum(size(chain) for chain in image.chain if owners[chain] > 1) for image in images}


def layers_size(store: ImageStore, size: Callable[[Digest], int]) -> int:
    """The bytes of all layers, one that several images have counted once."""
    return sum(size(chain) for chain in {chain for image in store for chain in image.chain})


def matching_references(image: Image, filters: Filters) -> tuple[Reference, ...]:
    """The references to show: all, or those the `reference` filter names."""
    patterns = filters.get("reference", ())
    return tuple(r for r in image.references if not patterns or any(matches(r, pattern) for pattern in patterns))


def matches(reference: Reference, pattern: str) -> bool:
    """Docker's FamiliarMatch: a glob, in which `*` stops at a slash, for the familiar name with or without its tag."""
    return any(_glob(text, pattern) for text in (reference.familiar, reference.familiar_name, str(reference)))


def _glob(text: str, pattern: str) -> bool:
    names, globs = text.split("/"), pattern.split("/")
    return len(names) == len(globs) and all(fnmatch.fnmatchcase(*pair) for pair in zip(names, globs, strict=True))


def created_ns(image: Image) -> int:
    return parse_time(image.config.created)


def history(store: ImageStore, image: Image, layer_sizes: Sequence[int]) -> list[HistoryEntry]:
    """Newest step first; `layer_sizes` are the unpacked sizes, bottom first."""
    sizes = list(layer_sizes)
    entries = [
        HistoryEntry(
            "<missing>",
            parse_time(step.created) // 1_000_000_000,
            step.created_by,
            (),
            sizes.pop(0) if sizes and not step.empty_layer else 0,
            step.comment,
        )
        for step in image.config.history
    ]
    entries.reverse()
    ancestor: Image | None = image
    for position, entry in enumerate(entries):
        if ancestor is None:
            break
        entries[position] = HistoryEntry(
            ancestor.id, entry.created, entry.created_by, tuple(ancestor.tags), entry.size, entry.comment
        )
        ancestor = store.get(ancestor.parent) if ancestor.parent in store else None
    return entries


def _test(store: ImageStore, key: str, values: Sequence[str]) -> Callable[[Image], bool]:
    match key:
        case "reference":
            return lambda image: bool(matching_references(image, {"reference": values}))
        case "dangling":
            wanted = _boolean(values[-1]) if values else False
            return lambda image: (not image.tags) == wanted
        case "label":
            return lambda image: all(_has_label(image, value) for value in values)
        case "label!":
            return lambda image: not any(_has_label(image, value) for value in values)
        case "before":
            before = min(created_ns(find(store, value)) for value in values)
            return lambda image: created_ns(image) < before
        case "since":
            since = max(created_ns(find(store, value)) for value in values)
            return lambda image: created_ns(image) > since
        case "until":
            until = min(parse_moment(value) for value in values)
            return lambda image: created_ns(image) < until
        case _:
            raise Invalid(f"invalid filter '{key}'")


def _has_label(image: Image, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    labels = image.config.config.labels
    return key in labels and (not equals or labels[key] == value)


def _boolean(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise Invalid(f"invalid filter 'dangling=[{text}]'")
    return text.lower() in _YES


def parsed(text: str) -> Reference:
    """A name to give to an image: a tag, `latest` where none is said, and no digest."""
    reference = parse_reference(text).with_default_tag()
    if reference.digest:
        raise Invalid("refusing to create a tag with a digest reference")
    if reference.familiar_name == "sha256":
        raise Invalid("refusing to create an ambiguous tag using digest algorithm as name")
    return reference
