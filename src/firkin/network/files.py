"""The contents of a container's /etc/hosts and /etc/resolv.conf. Pure.

Source: moby `libnetwork/etchosts`, `libnetwork/resolvconf`; resolv.conf(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firkin.errors import Invalid
from firkin.network.addresses import is_address, parse_address

EMBEDDED_SERVER = "127.0.0.11"
"""Where a container on a user-defined network finds the embedded DNS server."""

_PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4")  # Docker's choice for a host that has only loopback servers

_LOCALHOST = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts_file(hostname: str, domainname: str, addresses: Iterable[str], extra: Iterable[tuple[str, str]]) -> str:
    """/etc/hosts: localhost, then `extra` (address, name), then the container's own addresses."""
    full = f"{hostname}.{domainname}" if domainname else hostname
    bare, dot, _ = full.partition(".")
    own = f"{full} {bare}" if dot else full
    lines = [*extra, *((address, own) for address in addresses if hostname)]
    return _LOCALHOST + "".join(f"{address}\t{names}\n" for address, names in lines)


def extra_hosts(entries: Iterable[str], host_gateway: str) -> list[tuple[str, str]]:
    """`--add-host` entries, "name:address" or "name=address", as (address, name); `host-gateway` becomes `host_gateway`."""
    found = []
    for entry in entries:
        name, separator, address = entry.partition("=" if "=" in entry else ":")
        if address == "host-gateway":
            if not host_gateway:
                raise Invalid("unable to derive the IP value for host-gateway")
            address = host_gateway
        if not separator or name.split() != [name] or not is_address(address.strip("[]")):
            raise Invalid(f"bad format for add-host: {entry!r}")
        found.append((address.strip("[]"), name))
    return found


@dataclass(frozen=True)
class Resolver:
    """What resolv.conf(5) says. `search` and `options` are its words."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Resolver:
        servers, search, options = [], (), []  # type: tuple[list[str], tuple[str, ...], list[str]]
        for line in text.splitlines():
            keyword, *words = line.partition("#")[0].split() or [""]
            if keyword == "nameserver":
                servers += words[:1]
            elif keyword in ("search", "domain"):
                search = tuple(words)
            elif keyword == "options":
                options += words
        return cls(tuple(servers), search, tuple(options))

    def override(self, servers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> Resolver:
        """With each of the three replaced where one is given; a search of "." means none."""
        wanted = tuple(search) or self.search
        return Resolver(tuple(servers) or self.servers, () if wanted == (".",) else wanted, tuple(options) or self.options)

    def without_loopback(self) -> Resolver:
        """For a namespace of its own: servers on the host's loopback are not reachable there."""
        reachable = tuple(server for server in self.servers if not _is_loopback(server))
        return Resolver(reachable or _PUBLIC_SERVERS, self.search, self.options)

    def embedded(self) -> Resolver:
        """For a user-defined network: names of containers have no dots, so every name goes to the server as it is."""
        tried_as_is = any(option.startswith("ndots:") for option in self.options)
        return Resolver((EMBEDDED_SERVER,), self.search, self.options if tried_as_is else (*self.options, "ndots:0"))

    def text(self) -> str:
        lines = [f"nameserver {server}" for server in self.servers]
        lines += ["search " + " ".join(self.search)] if self.search else []
        lines += ["options " + " ".join(self.options)] if self.options else []
        return "".join(line + "\n" for line in lines)


def _is_loopback(server: str) -> bool:
    address = server.partition("%")[0]
    return is_address(address) and parse_address(address).is_loopback
