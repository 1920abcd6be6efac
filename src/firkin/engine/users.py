"""The machine's ids that containers' ids stand for: who holds which, and which are free.

Invariant: ranges are held by containers that run, from before the start until after the end; a range chosen here is in no
range held at the time. Source: subuid(5), podman-run(1) `--userns`.
"""

from __future__ import annotations

from collections.abc import Iterable

from firkin.engine.userns_mode import Mode
from firkin.errors import Unavailable
from firkin.model import IdMaps
from firkin.paths import text_of
from firkin.runtime import id_maps

SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"
OWNER = "firkin"
# Where ids come from unless these files have a range for `firkin`: the numbers below 2^31 that systemd leaves to nobody
# (systemd's docs/UIDS-GIDS.md), 4096 containers' worth.
_NOBODYS = (0x70000000, 0x10000000)


class Users:
    """The ids of one engine's containers."""

    def __init__(self, default: IdMaps | None = None, each_its_own: bool = False) -> None:
        """What `userns-remap` says of a container that says nothing: these maps, or a range of its own."""
        self.default, self._each_its_own = default, each_its_own
        self._held: dict[str, IdMaps] = {}

    @property
    def remap(self) -> bool:
        """Whether a container that says nothing has a user namespace."""
        return self.default is not None or self._each_its_own

    def hold(self, container_id: str, maps: IdMaps | None) -> None:
        """Of a container that runs, or is about to."""
        if maps:
            self._held[container_id] = maps

    def release(self, container_id: str) -> None:
        self._held.pop(container_id, None)

    def choose(self, mode: Mode, last: IdMaps | None, remembered: Iterable[IdMaps]) -> IdMaps | None:
        """The maps of a container about to start; None for the machine's user namespace. `last`: what it had before;
        `remembered`: what others that are down had, taken only when there is nothing else. Raises `Unavailable`."""
        if mode.kind == "default" and not self._each_its_own:
            return self.default
        if mode.kind == "private" and self.default:
            return self.default
        if mode.kind in ("host", "map"):
            return mode.maps
        if last and _fits(last, mode) and not any(_overlap(last, other) for other in self._held.values()):
            return last
        spared = [*self._held.values(), *remembered]
        found = self._free(mode, spared) or self._free(mode, self._held.values())
        if found is None:
            raise Unavailable(f"no {mode.size} user and group ids are free for another container: see {SUBUID} and {SUBGID}")
        return found

    def _free(self, mode: Mode, taken: Iterable[IdMaps]) -> IdMaps | None:
        taken = [*taken, *([self.default] if self.default else [])]
        users = _first_free(SUBUID, mode.size, [span for maps in taken for span in _outside(maps.users)])
        groups = _first_free(SUBGID, mode.size, [span for maps in taken for span in _outside(maps.groups)])
        return None if users is None or groups is None else _maps(mode, users, groups)


def _maps(mode: Mode, users: int, groups: int) -> IdMaps:
    if mode.kind == "keep-id":
        return IdMaps(id_maps.keeping(users, mode.size, mode.kept[0]), id_maps.keeping(groups, mode.size, mode.kept[1]))
    return IdMaps(((0, users, mode.size),), ((0, groups, mode.size),))


def _fits(maps: IdMaps, mode: Mode) -> bool:
    """Whether they could have been chosen for this mode."""
    return maps == _maps(mode, maps.users[0][1], maps.groups[0][1])


def _overlap(one: IdMaps, other: IdMaps) -> bool:
    return id_maps.overlap(one.users, other.users) or id_maps.overlap(one.groups, other.groups)


def _outside(ranges: tuple[tuple[int, int, int], ...]) -> list[tuple[int, int]]:
    return [(outside, count) for _, outside, count in ranges]


def _first_free(path: str, count: int, taken: list[tuple[int, int]]) -> int | None:
    content = text_of(path)
    pool = id_maps.subordinate(content, [OWNER])
    if not pool:
        pool, taken = [_NOBODYS], [*taken, *id_maps.everybodys(content)]
    return id_maps.free(pool, count, taken)
