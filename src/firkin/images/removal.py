"""Docker's rules for `rmi`: a name goes first, the image with its last name, its untagged parents after it.

Only records and names change here; the caller then removes the blobs and layers nobody needs any more.
Source: moby `daemon/images/image_delete.go`, whose conflict texts these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from firkin.errors import Conflict
from firkin.ids import short_id
from firkin.images.store import Image, ImageStore, find
from firkin.oci.digest import Digest, hex_of
from firkin.oci.reference import Reference, parse_reference


@dataclass(frozen=True)
class Use:
    """A container made from an image."""

    container_id: str
    running: bool


@dataclass(frozen=True)
class Removed:
    """One line of what `rmi` reports."""

    kind: Literal["untagged", "deleted"]
    name: str  # a familiar reference, or an id
    image: Digest


@dataclass(frozen=True)
class _Hindrance:
    reason: str
    hard: bool  # force does not help


Uses = Callable[[Digest], Sequence[Use]]


class Removal:
    """One `rmi`. `removed` is what happened, `images` are those that are off the record now."""

    def __init__(self, store: ImageStore, uses: Uses, *, force: bool, prune: bool) -> None:
        self._store, self._uses, self._force, self._prune = store, uses, force, prune
        self.removed: list[Removed] = []
        self.images: list[Image] = []

    def run(self, text: str) -> None:
        """Remove what `text` names; raises `NotFound` or `Conflict`, and then nothing has changed."""
        image = find(self._store, text)
        if hex_of(image.id).startswith(text.removeprefix("sha256:")):
            self._by_id(image)
        else:
            self._by_name(image, parse_reference(text).with_default_tag(), text)

    def _by_name(self, image: Image, reference: Reference, text: str) -> None:
        users = self._uses(image.id)
        if users and not self._force and is_single(image.references):
            raise Conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) - '
                f"container {short_id(users[0].container_id)} is using its referenced image {short_id(image.id)}"
            )
        self._untag(image, [reference])
        left = [other for other in image.references if other != reference]
        if not reference.digest and not any(other.name == reference.name and not other.digest for other in left):
            self._untag(image, [other for other in left if other.name == reference.name])
            left = [other for other in left if other.name != reference.name]
        if not left and not self._hindrance(image.id, self._force):
            self._delete(image)

    def _by_id(self, image: Image) -> None:
        names = () if is_single(image.references) else image.references
        hindrance = self._hindrance(image.id, self._force, names)
        if hindrance:
            how = "cannot be forced" if hindrance.hard else "must be forced"
            raise Conflict(f"conflict: unable to delete {short_id(image.id)} ({how}) - {hindrance.reason}")
        self._untag(image, image.references)
        self._delete(image)

    def _delete(self, image: Image) -> None:
        """Take the image off the record, then its parent if nothing else needs that one."""
        self._store.discard(image.id)
        self.removed.append(Removed("deleted", image.id, image.id))
        self.images.append(image)
        if self._prune and image.parent in self._store:
            parent = self._store.get(image.parent)
            if not self._hindrance(parent.id, False, parent.references):
                self._delete(parent)

    def _untag(self, image: Image, references: Sequence[Reference]) -> None:
        self._store.unname(references)
        self.removed += [Removed("untagged", reference.familiar, image.id) for reference in references]

    def _hindrance(self, image_id: Digest, force: bool, names: Sequence[Reference] = ()) -> _Hindrance | None:
        """Why the image may not be deleted; `force` overrules `names` and stopped containers."""
        if self._store.children(image_id):
            return _Hindrance("image has dependent child images", True)
        users = self._uses(image_id)
        for user in users:
            if user.running:
                return _Hindrance(f"image is being used by running container {short_id(user.container_id)}", True)
        if names and not force:
            return _Hindrance("image is referenced in multiple repositories", False)
        if users and not force:
            return _Hindrance(f"image is being used by stopped container {short_id(users[0].container_id)}", False)
        return None


def is_single(references: Sequence[Reference]) -> bool:
    """Whether all names are one repository's, with at most one tag among them."""
    tags = [reference for reference in references if not reference.digest]
    return len(tags) <= 1 and len({reference.name for reference in references}) <= 1
