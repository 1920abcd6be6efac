"""Which ids of the machine the ids inside a user namespace stand for: reading maps, comparing them, choosing free ones.

A map is a tuple of ranges (first id inside, first id outside, how many). Pure.
Source: user_namespaces(7) "User and group ID mappings", subuid(5), podman-run(1) `--uidmap`.
"""

from __future__ import annotations

from firkin.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Range = tuple[int, int, int]
    Ranges = tuple[Range, ...]

_END = 2**32 - 1  # the last number is no id: (uid_t) -1
_MOST_RANGES = 340  # lines of /proc/PID/uid_map


def parse(text: str) -> tuple[Ranges, Ranges]:
    """(users, groups) of `CONTAINER:HOST:SIZE[,...]`; a range may begin with `u` or `g` to be of one kind only."""
    kinds: dict[str, list[Range]] = {"u": [], "g": []}
    for part in text.split(","):
        kind = part[:1] if part[:1] in kinds else ""
        for letter in kind or kinds:
            kinds[letter].append(_range(part.removeprefix(kind), text))
    users, groups = tuple(kinds["u"]), tuple(kinds["g"])
    check(users, f"user map {text!r}")
    check(groups, f"group map {text!r}")
    return users, groups


def parse_mount(text: str) -> tuple[Ranges, Ranges] | None:
    """(users, groups) of a mount's "idmap=uids=DISK-HOST-COUNT[#...];gids=...", podman's syntax; None for "idmap" alone."""
    _, given, rest = text.partition("=")
    if not given:
        return None
    kinds = {key: value for key, _, value in (part.partition("=") for part in rest.split(";"))}
    if set(kinds) != {"uids", "gids"}:
        raise Invalid(f"invalid option {text!r}: want idmap=uids=DISK-HOST-COUNT;gids=DISK-HOST-COUNT")
    return _disk_ranges(kinds["uids"], text), _disk_ranges(kinds["gids"], text)


def _disk_ranges(value: str, text: str) -> Ranges:
    ranges = tuple(_range(part.replace("-", ":"), text) for part in value.split("#"))
    check_ranges(ranges, f"option {text!r}")
    return ranges


def _range(part: str, text: str) -> Range:
    words = part.split(":")
    if len(words) != 3 or not all(word.isascii() and word.isdecimal() for word in words):
        raise Invalid(f"invalid id map {text!r}: want CONTAINER:HOST:SIZE, not {part!r}")
    inside, outside, count = map(int, words)
    return inside, outside, count


def check(ranges: Ranges, what: str) -> None:
    """`check_ranges`, and that the namespace has a root."""
    check_ranges(ranges, what)
    if outside_of(ranges, 0) is None:
        raise Invalid(f"invalid {what}: it has no range for id 0, root's")


def check_ranges(ranges: Ranges, what: str) -> None:
    """Raises `Invalid` for what the kernel would refuse without saying why."""
    if len(ranges) > _MOST_RANGES:
        raise Invalid(f"invalid {what}: {len(ranges)} ranges; the kernel takes {_MOST_RANGES}")
    for inside, outside, count in ranges:
        if count < 1 or inside + count > _END or outside + count > _END:
            raise Invalid(f"invalid {what}: {inside}:{outside}:{count} is empty or goes beyond {_END - 1}")
    for side, name in ((0, "inside"), (1, "outside")):
        spans = sorted((one[side], one[side] + one[2]) for one in ranges)
        ends = [0, *(end for _, end in spans)]
        for (start, _), end in zip(spans, ends[:-1], strict=True):
            if start < end:
                raise Invalid(f"invalid {what}: two ranges hold id {start} {name}")


def text(ranges: Iterable[Range]) -> str:
    """As the kernel reads it from /proc/PID/uid_map."""
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in ranges)


def outside_of(ranges: Iterable[Range], number: int) -> int | None:
    """The machine's id that `number` inside stands for, if any."""
    return next((outside + number - inside for inside, outside, count in ranges if inside <= number < inside + count), None)


def last_in_a_row(ranges: Iterable[Range]) -> int:
    """The last id inside up to which every id from 0 on is mapped, to neighbouring ids outside; -1 for none."""
    return next((count - 1 for inside, _, count in ranges if inside == 0), -1)


def spread(pool: Iterable[tuple[int, int]]) -> Ranges:
    """Ids inside from 0 up, one range of the pool (first id, how many) after the other, as Docker maps subordinate ids."""
    ranges, inside = [], 0
    for first, count in pool:
        ranges.append((inside, first, count))
        inside += count
    return tuple(ranges)


def keeping(first: int, count: int, kept: int) -> Ranges:
    """`count` ids from `first` on, but `kept` stays the same number inside and outside."""
    below, above = min(kept, count), max(count - kept - 1, 0)
    ranges = [(0, first, below), (kept, kept, 1), (kept + 1, first + kept + 1, above)]
    return tuple(one for one in ranges if one[2])


def overlap(one: Iterable[Range], other: Iterable[Range]) -> bool:
    """Whether two maps have an id outside in common."""
    spans = [(outside, outside + count) for _, outside, count in other]
    return any(outside < end and start < outside + count for _, outside, count in one for start, end in spans)


def subordinate(content: str, names: Iterable[str]) -> list[tuple[int, int]]:
    """The ranges that /etc/subuid or /etc/subgid gives to a user, by name or number; subuid(5)."""
    found, wanted = [], set(names)
    for line in content.splitlines():
        words = line.strip().split(":")
        if len(words) == 3 and words[0] in wanted and words[1].isdecimal() and words[2].isdecimal() and int(words[2]):
            found.append((int(words[1]), int(words[2])))
    return found


def everybodys(content: str) -> list[tuple[int, int]]:
    """All ranges in such a file, whoever has them."""
    return subordinate(content, {line.partition(":")[0].strip() for line in content.splitlines()})


def free(pool: Iterable[tuple[int, int]], count: int, taken: Iterable[tuple[int, int]]) -> int | None:
    """The first of `count` neighbouring ids in the pool, none of which is in a range (first id, how many) of `taken`."""
    busy = sorted(taken)
    for first, size in pool:
        start = first
        for other, length in busy:
            if other < start + count and start < other + length:
                start = other + length
        if start + count <= first + size:
            return start
    return None
