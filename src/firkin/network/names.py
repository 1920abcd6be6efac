"""Who is called what on which network: the data behind the embedded DNS server. No IO.

Invariant: a container resolves names of the networks it is on, and of no other. Source: moby `libnetwork/sandbox.go`
(ResolveName, ResolveIP), `libnetwork/network.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from firkin.ids import short_id
from firkin.model import Container, Endpoint
from firkin.network.model import Network


@dataclass(frozen=True)
class Member:
    """One container on one network."""

    container_name: str
    endpoint: Endpoint
    network: Network


class Directory:
    """All members of all networks."""

    def __init__(self) -> None:
        self._by_network: dict[str, dict[str, Member]] = {}  # network id -> container id -> member
        self._by_container: dict[str, dict[str, Member]] = {}  # container id -> network id -> member

    def add(self, container_id: str, member: Member) -> None:
        self._by_network.setdefault(member.network.id, {})[container_id] = member
        self._by_container.setdefault(container_id, {})[member.network.id] = member

    def remove(self, container_id: str, network_id: str) -> None:
        self._by_network.get(network_id, {}).pop(container_id, None)
        mine = self._by_container.get(container_id, {})
        mine.pop(network_id, None)
        if not mine:
            self._by_container.pop(container_id, None)

    def members(self, network_id: str) -> dict[str, Member]:
        """Container id to member."""
        return dict(self._by_network.get(network_id, {}))

    def of(self, container_id: str) -> list[Member]:
        """A container's memberships, in the order of its interfaces."""
        return list(self._by_container.get(container_id, {}).values())

    def resolve(self, container_id: str, name: str) -> list[Endpoint]:
        """The endpoints `name` (lower case, no final dot) means to a container: a container's name, alias, short id or
        hostname, bare or with `.NETWORK`, or one of its own links."""
        found = []
        for network, name_there in self._asked(container_id, name):
            for member in self._by_network[network.id].values():
                if name_there in member.endpoint.dns_names:
                    found.append(member.endpoint)
        return found

    def name_of(self, container_id: str, ip: str) -> str:
        """The name `CONTAINER.NETWORK` of an address, as far as a container may know it; "" if not."""
        for own in self.of(container_id):
            for member in self._by_network[own.network.id].values():
                if own.network.resolves_names and ip in (member.endpoint.ip_address, member.endpoint.global_ipv6_address):
                    return f"{member.container_name}.{own.network.name}"
        return ""

    def _asked(self, container_id: str, name: str) -> Iterator[tuple[Network, str]]:
        """Where to look for `name`, and as what."""
        for own in self.of(container_id):
            if own.network.resolves_names:
                bare = name.removesuffix("." + own.network.name.lower())
                yield own.network, _links(own.endpoint).get(bare, bare)


def dns_names(container: Container, aliases: tuple[str, ...]) -> tuple[str, ...]:
    """What others may call a container, in lower case, its name first."""
    names = (container.name, *aliases, short_id(container.id), container.config.hostname)
    return tuple(dict.fromkeys(name.lower() for name in names if name))


def _links(endpoint: Endpoint) -> dict[str, str]:
    """Alias to the name it stands for: `--link NAME:ALIAS`."""
    pairs = (link.lower().partition(":") for link in endpoint.request.links)
    return {alias or name: name for name, _, alias in pairs}
