"""A network as Docker's `Network`, and for inspect `NetworkInspect`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from firkin.api.times import rfc3339
from firkin.api.versions import Dialect
from firkin.model import Container, Endpoint
from firkin.network.model import Network, Subnet


def summary(item: Network, dialect: Dialect) -> dict[str, Any]:
    """A row of the list."""
    return _network(item) | ({"Containers": {}} if dialect.has_containers_in_network_list else {})


def _network(item: Network) -> dict[str, Any]:
    return {
        "Name": item.name,
        "Id": item.id,
        "Created": rfc3339(item.created),
        "Scope": "local",
        "Driver": item.driver,
        "EnableIPv4": item.driver == "bridge",
        "EnableIPv6": item.enable_ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": item.ipam_options or None,
            "Config": [_ipam_config(subnet) for subnet in item.subnets] or None,
        },
        "Internal": item.internal,
        "Attachable": item.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Options": item.options,
        "Labels": item.labels,
    }


def inspect(item: Network, members: Iterable[Container], dialect: Dialect) -> dict[str, Any]:
    """`members` are the running containers on it."""
    document = _network(item)
    endpoints = [(member, member.endpoints[item.name]) for member in members if item.name in member.endpoints]
    document["Containers"] = {member.id: _resource(member.name, endpoint) for member, endpoint in endpoints}
    if dialect.has_network_status:
        document["Status"] = {"IPAM": {"Subnets": {s.subnet: _usage(s, endpoints) for s in item.subnets}}}
    return document


def _ipam_config(subnet: Subnet) -> dict[str, Any]:
    """`IPAMConfig`, whose empty members are left out."""
    members = {
        "Subnet": subnet.subnet,
        "IPRange": subnet.ip_range,
        "Gateway": subnet.gateway,
        "AuxiliaryAddresses": subnet.auxiliary,
    }
    return {key: value for key, value in members.items() if value}


def _resource(name: str, endpoint: Endpoint) -> dict[str, str]:
    """`EndpointResource`: a member's addresses with their prefix lengths."""
    v4, v6 = endpoint.ip_address, endpoint.global_ipv6_address
    return {
        "Name": name,
        "EndpointID": endpoint.endpoint_id,
        "MacAddress": endpoint.mac_address,
        "IPv4Address": f"{v4}/{endpoint.ip_prefix_len}" if v4 else "",
        "IPv6Address": f"{v6}/{endpoint.global_ipv6_prefix_len}" if v6 else "",
    }


def _usage(subnet: Subnet, endpoints: list[tuple[Container, Endpoint]]) -> dict[str, int]:
    """`SubnetStatus`: addresses in use (network, broadcast and gateway among them) and left."""
    block = ipaddress.ip_network(subnet.subnet)
    addresses = [e.global_ipv6_address if subnet.is_ipv6 else e.ip_address for _, e in endpoints]
    taken = sum(bool(address) for address in addresses) + len(subnet.auxiliary)
    taken += (0 if subnet.is_ipv6 else 2) + bool(subnet.gateway)
    limit = (1 << 64) - 1  # the counts are Go's uint64
    return {"IPsInUse": min(taken, limit), "DynamicIPsAvailable": max(0, min(block.num_addresses - taken, limit))}
