"""The fields of an image in `images` and `system df`: one row for every name an image has."""

from __future__ import annotations

from firkin.cli import names
from firkin.cli.format import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Item = dict[str, Any]

COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
NONE = "<none>"


def rows(images: list[Item], all_digests: bool, with_digests: bool) -> list[Item]:
    """Images multiplied by their names: each row is the image with `repository`, `tag` and `digest` added."""
    return [image | row for image in images for row in _names(image, all_digests, with_digests)]


def _names(image: Item, all_digests: bool, with_digests: bool) -> Iterator[Item]:
    tags = [tag for tag in image.get("RepoTags") or () if tag != f"{NONE}:{NONE}"]
    digests = [digest for digest in image.get("RepoDigests") or () if digest != f"{NONE}@{NONE}"]
    by_repository: dict[str, tuple[list[str], list[str]]] = {}
    for reference in [*tags, *digests]:
        registry, path, tag, digest = names.split(reference)
        found = by_repository.setdefault(names.familiar(registry, path), ([], []))
        if digest:
            found[1].append(digest)
        else:
            found[0].append(tag)
    if not by_repository:
        yield {"repository": NONE, "tag": NONE, "digest": NONE}
    for repository, (own_tags, own_digests) in by_repository.items():
        for tag in own_tags or [NONE]:
            shown = own_digests if with_digests and (own_tags or all_digests) else []
            for digest in shown or [NONE if own_tags else ""]:
                yield {"repository": repository, "tag": tag, "digest": digest}


def _counted(item: Item, key: str) -> str:
    return "N/A" if item.get(key, -1) == -1 else units.size(item[key])


def _unique(item: Item, trunc: bool) -> str:
    return "N/A" if item.get("SharedSize", -1) == -1 else units.size(item["Size"] - item["SharedSize"])


FIELDS: dict[str, tuple[str, Any]] = {
    "Containers": ("CONTAINERS", lambda item, trunc: "N/A" if item.get("Containers", -1) == -1 else str(item["Containers"])),
    "CreatedAt": ("CREATED AT", lambda item, trunc: units.timestamp(item["Created"])),
    "CreatedSince": ("CREATED", lambda item, trunc: units.ago(item["Created"])),
    "Digest": ("DIGEST", lambda item, trunc: item["digest"]),
    "ID": ("IMAGE ID", lambda item, trunc: names.short_id(item["Id"]) if trunc else item["Id"]),
    "Repository": ("REPOSITORY", lambda item, trunc: item["repository"]),
    "SharedSize": ("SHARED SIZE", lambda item, trunc: _counted(item, "SharedSize")),
    "Size": ("SIZE", lambda item, trunc: units.size(item["Size"], 3)),
    "Tag": ("TAG", lambda item, trunc: item["tag"]),
    "UniqueSize": ("UNIQUE SIZE", _unique),
    "VirtualSize": ("SIZE", lambda item, trunc: units.size(item["Size"])),
}
