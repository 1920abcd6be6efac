"""Routing by this host: on, for containers reach nothing without it, and for containers alone.

Whoever makes a machine a router makes it one for all its neighbours. So where forwarding was off, what neither comes from
nor goes to a bridge of containers is dropped, by a table of its own. Invariant: that table is there before forwarding is on,
and outlives the engine as forwarding does; by it the next engine, or a second one, knows. Where forwarding was on already, this
host is meant to be a router, and nothing is dropped. Names are only ever added to the set of bridges, but for those of networks
that are removed: others may add theirs. Source: decision 22; moby `libnetwork/drivers/bridge/setup_ip_forwarding.go`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

TABLE = "firkin_forwarding"
_SWITCHES = {"ip": "/proc/sys/net/ipv4/ip_forward", "ip6": "/proc/sys/net/ipv6/conf/all/forwarding"}


class Forwarding:
    """The two switches of this network namespace, one for each address family, and the tables beside them."""

    def __init__(self) -> None:
        self._guarded: dict[str, bool] = {}  # by family, for those to be forwarded
        self._admitted: frozenset[str] = frozenset()

    async def want(self, families: Iterable[str], listed: Callable[[str, str], Awaitable[str]]) -> None:
        """From now on forward these, behind a table unless forwarding was on without it. `listed`: a table's text, or ""."""
        for family in families:
            if family not in self._guarded:
                self._guarded[family] = not _is_on(family) or bool(await listed(family, TABLE))

    def tables(self, bridges: Iterable[str]) -> str:
        """What to put in place before `enable`, as nft(8) takes it."""
        before, self._admitted = self._admitted, frozenset(bridges)
        gone = before - self._admitted
        return "".join(table(family, self._admitted, gone) for family, guarded in self._guarded.items() if guarded)

    def enable(self) -> None:
        for family in self._guarded:
            if not _is_on(family):
                with open(_SWITCHES[family], "w", encoding="ascii") as file:
                    file.write("1")


def table(family: str, bridges: Iterable[str], gone: Iterable[str]) -> str:
    """A transaction that leaves in the set what others put there. An element can be deleted only if it is there."""
    ours = f"{family} {TABLE}"
    lines = [
        f"add table {ours}",
        f"add set {ours} bridges {{ type ifname; }}",
        f"add chain {ours} forward {{ type filter hook forward priority filter; policy drop; }}",
        f"flush chain {ours} forward",
        f"add rule {ours} forward iifname @bridges accept",
        f"add rule {ours} forward oifname @bridges accept",
        *(f'add element {ours} bridges {{ "{name}" }}' for name in sorted({*bridges, *gone})),
        *(f'delete element {ours} bridges {{ "{name}" }}' for name in sorted(gone)),
    ]
    return "\n".join(lines) + "\n"


def _is_on(family: str) -> bool:
    with open(_SWITCHES[family], encoding="ascii") as file:
        return file.read().strip() != "0"
