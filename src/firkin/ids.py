"""Ids and names: 64 hex digits for objects, Docker's rules for what a person may type.

Source: Docker Engine API, `POST /containers/create` (name pattern) and moby's `daemon/names`.
"""

from __future__ import annotations

import random
import re
import secrets

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_LEFT = [
    "amber",
    "bold",
    "brave",
    "bright",
    "calm",
    "clever",
    "cosy",
    "crisp",
    "deep",
    "eager",
    "fair",
    "fond",
    "frosty",
    "gentle",
    "glad",
    "golden",
    "hardy",
    "hearty",
    "humble",
    "jolly",
    "keen",
    "kind",
    "lively",
    "lucid",
    "mellow",
    "merry",
    "mild",
    "nimble",
    "noble",
    "patient",
    "placid",
    "plucky",
    "polite",
    "proud",
    "quick",
    "quiet",
    "ready",
    "rosy",
    "sharp",
    "silent",
    "sleek",
    "smooth",
    "snug",
    "steady",
    "stout",
    "sunny",
    "swift",
    "tidy",
    "tranquil",
    "upbeat",
    "vivid",
    "warm",
    "wise",
    "witty",
    "zesty",
]
_RIGHT = [
    "babbage",
    "bell",
    "bohr",
    "boole",
    "brahe",
    "cerf",
    "church",
    "curie",
    "darwin",
    "dijkstra",
    "einstein",
    "euclid",
    "euler",
    "faraday",
    "fermi",
    "feynman",
    "franklin",
    "galileo",
    "gauss",
    "germain",
    "goedel",
    "hamilton",
    "heisenberg",
    "hilbert",
    "hopper",
    "hypatia",
    "kepler",
    "kernighan",
    "knuth",
    "lamarr",
    "lamport",
    "leibniz",
    "liskov",
    "lovelace",
    "maxwell",
    "meitner",
    "mendel",
    "neumann",
    "newton",
    "noether",
    "pascal",
    "pasteur",
    "perlman",
    "planck",
    "ritchie",
    "shannon",
    "thompson",
    "torvalds",
    "turing",
    "volta",
    "wozniak",
]


def new_id() -> str:
    """A fresh object id: 64 lower-case hex digits whose first twelve are never all decimal digits
    (a short id must not be taken for a number, e.g. by `--pid container:ID` or a port parser)."""
    while True:
        candidate = secrets.token_hex(32)
        if not candidate[:12].isdecimal():
            return candidate


def short_id(object_id: str) -> str:
    """The first twelve digits, as tables show them (a `sha256:` prefix is dropped)."""
    return object_id.removeprefix("sha256:")[:12]


def is_name(text: str) -> bool:
    """Whether Docker would accept `text` as the name of a container, volume or network."""
    return NAME.fullmatch(text) is not None


def suggest_name(attempt: int = 0) -> str:
    """A readable random name; a later attempt (after a clash) appends a digit."""
    tail = str(random.randrange(10)) if attempt else ""
    return f"{random.choice(_LEFT)}_{random.choice(_RIGHT)}{tail}"
