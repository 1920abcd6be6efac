"""IP addresses as text that comes from others. Pure.

`fe80::1%eth0` is none: its scope means nothing to others, and what follows the sign may be any text (RFC 4007, section 11).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Raises ValueError."""
    return ip_address(_without_scope(text))


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """A CIDR block, bits of a host in it ignored. Raises ValueError."""
    return ip_network(_without_scope(text), strict=False)


def is_address(text: str) -> bool:
    """Whether it is an IP address rather than a name."""
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def _without_scope(text: str) -> str:
    if "%" in text:
        raise ValueError(text)
    return text
