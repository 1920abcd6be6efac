"""`--userns`, read: what a container's user namespace is to be. Pure.

Docker knows "" (what the daemon is set to) and "host". The rest is Firkin's: "private", "auto[:size=N]", "keep-id:UID:GID" and
"CONTAINER:HOST:SIZE[,...]". Source: podman-run(1) `--userns`, `--uidmap`.
"""

from __future__ import annotations

from dataclasses import dataclass

from firkin.errors import Invalid
from firkin.model import IdMaps
from firkin.runtime import id_maps

DEFAULT_SIZE = 65536
_LARGEST = 1 << 28
_WANT = "want host, private, auto[:size=N], keep-id or CONTAINER:HOST:SIZE[,...]"
_WHOSE = "whose ids? keep-id:UID:GID (`firkin run --userns keep-id` says yours)"


@dataclass(frozen=True)
class Mode:
    """`kind`: "default", "host", "private", "auto", "keep-id" or "map". `size`: how many ids; `kept`: the user and group
    that are the same inside and outside; `maps`: those given."""

    kind: str
    size: int = DEFAULT_SIZE
    kept: tuple[int, int] = (0, 0)
    maps: IdMaps | None = None


def parse(text: str) -> Mode:
    """Raises `Invalid`."""
    word, _, rest = text.partition(":")
    if text in ("", "host", "private"):
        return Mode(text or "default")
    if word == "auto":
        return Mode("auto", _size(rest, text) if ":" in text else DEFAULT_SIZE)
    if word == "keep-id":
        return Mode("keep-id", kept=_ids(rest, text))
    if text[0].isdecimal() or (text[:1] in "ug" and text[1:2].isdecimal()):
        return Mode("map", maps=IdMaps(*id_maps.parse(text)))
    raise Invalid(f"invalid user namespace mode: {text}: {_WANT}")


def _size(rest: str, text: str) -> int:
    key, _, value = rest.partition("=")
    if key != "size" or not value.isdecimal() or not 1 <= int(value) <= _LARGEST:
        raise Invalid(f"invalid user namespace mode: {text}: want auto:size=N, N from 1 to {_LARGEST}")
    return int(value)


def _ids(rest: str, text: str) -> tuple[int, int]:
    words = rest.split(":")
    if len(words) != 2 or not all(word.isascii() and word.isdecimal() for word in words):
        raise Invalid(f"invalid user namespace mode: {text}: {_WHOSE}")
    user, group = map(int, words)
    if 0 in (user, group) or max(user, group) >= 2**32 - 1:
        raise Invalid(f"invalid user namespace mode: {text}: root's id is not for keeping, and an id has 32 bits")
    return user, group
