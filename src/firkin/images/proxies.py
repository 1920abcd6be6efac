"""Which proxy leads to a URL, by the environment, as dockerd decides it. Pure.

Invariant: the environment's variables are all that is looked at: what is for other programs (~/.netrc) is not sent along.
Source: golang.org/x/net/http/httpproxy (its rules for NO_PROXY).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from yarl import URL

from firkin.errors import Invalid

_PORTS = {"http": 80, "https": 443}


class Proxies:
    """Those of an environment: HTTP_PROXY and HTTPS_PROXY, each for its scheme, NO_PROXY for exceptions; or in lower case."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        def variable(name: str) -> str:
            return environment.get(name) or environment.get(name.lower()) or ""

        self._proxies = {scheme: variable(f"{scheme.upper()}_PROXY") for scheme in _PORTS}
        self._direct = [entry.strip().lower() for entry in variable("NO_PROXY").split(",") if entry.strip()]

    def of(self, url: URL) -> URL | None:
        """None: straight to it. Raises `Invalid` for a proxy that is none."""
        proxy = self._proxies.get(url.scheme, "")
        host = (url.host or "").lower()
        if not proxy or _is_this_machine(host) or any(_matches(entry, host, url.port) for entry in self._direct):
            return None
        return _proxy_url(proxy)


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _matches(entry: str, host: str, port: int | None) -> bool:
    """An entry of NO_PROXY is `*`, an address, a network, a domain with all below it, or (after `.` or `*.`) those below it."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        return address is not None and _is_in(address, entry)
    name, named_port = _split_port(entry)
    if named_port and named_port != str(port):
        return False
    if address is not None:
        return address == _address(name)
    name = name.removeprefix("*") if name.startswith("*.") else name
    return bool(name) and (host.endswith(name) if name.startswith(".") else host == name or host.endswith("." + name))


def _split_port(entry: str) -> tuple[str, str]:
    """("::1", "80") of "[::1]:80"; the port is "" where there is none."""
    name, colon, port = entry.rpartition(":")
    if colon and (name.endswith("]") or ":" not in name):
        return name.strip("[]"), port
    return entry.strip("[]"), ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _proxy_url(text: str) -> URL:
    try:
        url = URL(text if "://" in text else f"http://{text}")
        if url.scheme in _PORTS and url.host and url.port:
            return url
    except ValueError:
        pass
    shown = text.rpartition("@")[2]  # without the password
    raise Invalid(f"invalid proxy address {shown!r}: want http(s)://HOST[:PORT]")
