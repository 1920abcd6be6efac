"""A container's networks as Docker shows them: `NetworkSettings`, `EndpointSettings` and published ports."""

from __future__ import annotations

from typing import Any

from firkin.api.encode import encode
from firkin.model import Container, Endpoint, PortBinding

Ports = dict[str, tuple[PortBinding, ...]]

_LEGACY = {  # field of the default network's endpoint -> key at the top level, until API 1.51
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}


def endpoint_settings(endpoint: Endpoint) -> dict[str, Any]:
    """One endpoint: what was asked for, and the addresses in effect."""
    settings = encode(endpoint.request)
    wanted = {key: value for key, value in settings["IPAMConfig"].items() if value}
    return {
        **settings,
        "IPAMConfig": wanted or None,
        "Aliases": list(endpoint.request.aliases) or None,
        "MacAddress": endpoint.mac_address or endpoint.request.mac_address,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.endpoint_id,
        "Gateway": endpoint.gateway,
        "IPAddress": endpoint.ip_address,
        "IPPrefixLen": endpoint.ip_prefix_len,
        "IPv6Gateway": endpoint.ipv6_gateway,
        "GlobalIPv6Address": endpoint.global_ipv6_address,
        "GlobalIPv6PrefixLen": endpoint.global_ipv6_prefix_len,
        "DNSNames": list(endpoint.dns_names) or None,
    }


def network_settings(container: Container, *, legacy: bool) -> dict[str, Any]:
    """`NetworkSettings` of inspect; `legacy` repeats the default network's addresses at the top."""
    networks = {name: endpoint_settings(endpoint) for name, endpoint in container.endpoints.items()}
    up = container.state.pid != 0
    settings: dict[str, Any] = {
        "SandboxID": container.id if up else "",
        "SandboxKey": f"/proc/{container.state.pid}/ns/net" if up else "",
        "Ports": ports_of(container) if up else {},
        "Networks": networks,
    }
    if legacy:
        first = networks.get("bridge", _LEGACY)
        settings |= {key: first[key] for key in _LEGACY}
        settings |= {"Bridge": "", "HairpinMode": False, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0}
        settings |= {"SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None}
    return settings


def ports_of(container: Container) -> dict[str, list[dict[str, str]] | None]:
    """Exposed ports with null, published ones with their host addresses: `PortMap`."""
    shown: dict[str, list[dict[str, str]] | None] = dict.fromkeys(container.config.exposed_ports)
    for port, bindings in container.ports.items():
        shown[port] = [{"HostIp": binding.host_ip, "HostPort": binding.host_port} for binding in bindings]
    return shown


def port_summaries(container: Container) -> list[dict[str, Any]]:
    """The same as `PortSummary` rows for the list, in Docker's order."""
    rows = []
    for port, bindings in ports_of(container).items():
        number, _, protocol = port.partition("/")
        private = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        rows += [{"IP": b["HostIp"], **private, "PublicPort": int(b["HostPort"])} for b in bindings or ()] or [private]
    return sorted(rows, key=lambda row: (row["PrivatePort"], row["Type"], row.get("IP", "")))
