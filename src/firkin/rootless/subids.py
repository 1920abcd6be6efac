"""Which user and group ids a user may map into a user namespace of his own. Pure.

Inside, 0 is the user himself, and 1 and up are the subordinate ids that root has granted him, range after range.
Source: subuid(5), subgid(5), newuidmap(1), user_namespaces(7).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ENOUGH = 65536
"""Ids that ordinary images are made for: those of 16 bits."""

Range = tuple[int, int]  # first, count


def ranges(text: str, name: str, uid: int) -> list[Range]:
    """The ranges that a file in the format of /etc/subuid grants the user `name` (or `uid`, which may be written instead).
    Lines that are no grant of anything are passed over, as newuidmap does."""
    found = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in (name, str(uid)) and fields[1].isdecimal() and fields[2].isdecimal():
            found.append((int(fields[1]), int(fields[2])))
    return [one for one in found if one[1]]


def mapping(own: int, granted: Sequence[Range]) -> list[tuple[int, int, int]]:
    """(inside, outside, count) triples: 0 is `own`."""
    triples, inside = [(0, own, 1)], 1
    for first, count in granted:
        triples.append((inside, first, count))
        inside += count
    return triples


def arguments(pid: int, triples: Sequence[tuple[int, int, int]]) -> list[str]:
    """Of newuidmap(1) and newgidmap(1)."""
    return [str(pid), *(str(number) for triple in triples for number in triple)]


def next_free(text: str, least: int = 100_000) -> int:
    """The first id above all that a file in the format of /etc/subuid grants to anybody, in steps of `ENOUGH`."""
    ends = [int(f[1]) + int(f[2]) for f in (line.split(":") for line in text.splitlines()) if _is_grant(f)]
    return max([least, *ends])


def _is_grant(fields: Sequence[str]) -> bool:
    return len(fields) == 3 and fields[1].strip().isdecimal() and fields[2].strip().isdecimal()
