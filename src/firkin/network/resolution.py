"""How a container resolves names: its /etc/hosts and /etc/resolv.conf, and its embedded DNS server.

On the default network a container gets the host's DNS servers, except those only the host reaches; on user-defined ones
it asks the embedded server, which asks the host's. Source: moby `libnetwork/sandbox_dns_unix.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from firkin.config import DaemonConfig
from firkin.ids import short_id
from firkin.model import Container
from firkin.network.dns import NameServer
from firkin.network.files import Resolver, extra_hosts, hosts_file
from firkin.network.names import Directory, Member
from firkin.paths import text_of

_HOSTS = "/etc/hosts"
_RESOLV_CONF = "/etc/resolv.conf"
_RESOLVED_STUB = "127.0.0.53"
_RESOLVED_CONF = "/run/systemd/resolve/resolv.conf"  # the servers behind systemd-resolved's stub


class Resolution:
    """Name resolution for all containers of one engine."""

    def __init__(self, config: DaemonConfig, directory: Directory) -> None:
        self._config = config
        self._directory = directory
        self._servers: dict[str, NameServer] = {}

    def hosts(self, container: Container, host_gateway: str) -> str:
        """The text of its /etc/hosts; `host_gateway` is what `--add-host NAME:host-gateway` means."""
        extra = extra_hosts(container.host.extra_hosts, host_gateway)
        if container.host.network_mode == "host" and not extra:
            return text_of(_HOSTS)
        members = self._directory.of(container.id)
        both = ((member.endpoint.ip_address, member.endpoint.global_ipv6_address) for member in members)
        addresses = [address for pair in both for address in pair if address]
        links = self._linked(container, members)
        return hosts_file(container.config.hostname, container.config.domainname, addresses, [*extra, *links])

    def resolv_conf(self, container: Container) -> str:
        """The text of its /etc/resolv.conf."""
        resolver = self._resolver(container)
        members = self._directory.of(container.id)
        if any(member.network.driver == "host" for member in members):
            return resolver.text()
        if any(member.network.resolves_names for member in members):
            return resolver.embedded().text()
        if resolver.servers == (_RESOLVED_STUB,):
            resolver = Resolver(Resolver.parse(text_of(_RESOLVED_CONF)).servers, resolver.search, resolver.options)
        return resolver.without_loopback().text()

    async def serve(self, container: Container, sockets: Sequence[int]) -> None:
        """Answer the container's queries on the sockets that `dns.SOCKETS` made; they become ours."""
        self.stop(container.id)
        server = NameServer(self._directory, container.id, lambda: self._resolver(container).servers)
        await server.serve(sockets)
        self._servers[container.id] = server

    def serves(self, container_id: str) -> bool:
        return container_id in self._servers

    def stop(self, container_id: str) -> None:
        server = self._servers.pop(container_id, None)
        if server:
            server.close()

    def close(self) -> None:
        for container_id in list(self._servers):
            self.stop(container_id)

    def _resolver(self, container: Container) -> Resolver:
        """The host's, as it is now, with what the daemon's and the container's configuration say instead."""
        config, host = self._config, container.host
        resolver = Resolver.parse(text_of(_RESOLV_CONF)).override(config.dns, config.dns_search, config.dns_opts)
        return resolver.override(host.dns, host.dns_search, host.dns_options)

    def _linked(self, container: Container, members: list[Member]) -> list[tuple[str, str]]:
        """Lines for `--link NAME:ALIAS` on the default network, which has no DNS server."""
        lines = []
        for own in members if container.host.links else ():
            for other_id, other in self._directory.members(own.network.id).items():
                for linked_id, _, alias in (link.partition(":") for link in container.host.links):
                    if linked_id == other_id and not own.network.resolves_names:
                        names = dict.fromkeys((alias, short_id(other_id), other.container_name))
                        lines.append((other.endpoint.ip_address, " ".join(names)))
        return lines
