"""What a container asks to be published: which of its ports, on which addresses and ports of the host. Pure.

Where no host address is given, it is all of the host's, of both families. Source: moby
`libnetwork/drivers/bridge/port_mapping_linux.go`.
"""

from __future__ import annotations

import os

from firkin.errors import Invalid
from firkin.model import Container, Endpoint, PortBinding
from firkin.network.addresses import is_address, parse_address
from firkin.network.model import PROTOCOLS, Protocol

ANY_IPV4, ANY_IPV6 = "0.0.0.0", "::"
_HAS_IPV6 = os.path.exists("/proc/sys/net/ipv6")


def wanted_bindings(container: Container) -> list[tuple[str, PortBinding]]:
    """("80/tcp", binding) for each port to publish: those asked for, and with `-P` every exposed one besides."""
    bound = {port: bindings or (PortBinding(),) for port, bindings in container.host.port_bindings.items()}
    if container.host.publish_all_ports:
        bound |= {port: (PortBinding(),) for port in container.config.exposed_ports if port not in bound}
    return [(port, binding) for port in sorted(bound, key=split_port) for binding in bound[port]]


def split_port(text: str) -> tuple[int, Protocol]:
    """ "80/udp" as (80, "udp"); tcp unless it says so."""
    number, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if not _is_port(number) or int(number) == 0 or protocol not in PROTOCOLS:
        raise Invalid(f"invalid containerPort: {text}")
    return int(number), protocol  # type: ignore[return-value]


def host_ports(wanted: str) -> tuple[int, int] | None:
    """The first and the last port that "8080", or "8000-8010", stands for; None if any will do."""
    first, _, last = wanted.partition("-")
    if not all(map(_is_port, (first or "0", last or "0"))):
        raise Invalid(f"invalid host port: {wanted}")
    return (int(first), int(last or first)) if int(first or 0) else None


def ways(port: str, binding: PortBinding, endpoint: Endpoint, default_host_ip: str, *, crosses: bool) -> list[tuple[str, str]]:
    """(host address, the container's address it leads to), one for each family that both have. `crosses`: a way may lead from
    one family to the other, and from IPv6 loopback, which no rule can do (see `rules`)."""
    host_ip = binding.host_ip or default_host_ip
    if not is_address(host_ip):  # bind(2) would take a name, and look it up
        raise Invalid(f"invalid host address: {host_ip}")
    if ":" in host_ip and parse_address(host_ip).is_loopback and not crosses:
        raise Invalid(f"publish {port} on {host_ip}: the kernel lets nothing be redirected from IPv6 loopback")
    both = not binding.host_ip and host_ip == ANY_IPV4 and _HAS_IPV6
    places = (ANY_IPV4, ANY_IPV6) if both else (host_ip,)
    found = [(place, ip) for place in places if (ip := target(place, endpoint, crosses=crosses))]
    if not found:
        raise Invalid(f"publish {port} on {host_ip}: the container has no address of that family")
    return found


def target(host_ip: str, endpoint: Endpoint, *, crosses: bool) -> str:
    """The container's address that `host_ip` leads to; "" if it has none."""
    same, other = endpoint.ip_address, endpoint.global_ipv6_address
    if ":" in host_ip:
        same, other = other, same
    return same or (other if crosses else "")


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) < 6 and int(text) < 65536
