"""What of a container's connection happens in the launcher and in the child, as steps of its plan. Pure.

On the host an endpoint is one step (`veth`). Inside, the address comes before the interface is up, and the default route
last, once its gateway is reachable. Vocabulary: `runtime.plan`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from firkin.model import Endpoint
from firkin.network.model import Network, Step

_HAS_IPV6 = os.path.exists("/proc/sys/net/ipv6")
LOOPBACK_UP: Step = ("link-up", "lo")
# The way out is the engine's to say, not that of whoever shares the wire. For IPv4 one of `all` and the interface suffices
# to believe a redirect, so both are told.
_NO_REDIRECTS: Step = ("sysctl", "net/ipv4/conf/all/accept_redirects", "0")


def host_steps(
    network: Network, bridge_index: int, endpoint: Endpoint, *, netns: str = "", publishes: bool = False
) -> list[Step]:
    """For the launcher. `netns` names the descriptor of the container's namespace; "" is the new child's. A container that
    `publishes` ports can ask itself by one: where bridges pass packets to the firewall (br_netfilter), the redirected
    frame then has to go back through the port it came from."""
    name = endpoint.host_interface
    veth = ("veth", name, bridge_index, endpoint.interface, endpoint.mac_address, network.mtu, netns)
    plain = network.icc and not publishes
    return [veth] if plain else [veth, ("bridge-port", name, publishes, not network.icc)]


def interface_steps(endpoint: Endpoint) -> list[Step]:
    """For the child: the interface of one endpoint, up and with its addresses."""
    name = endpoint.interface
    steps: list[Step] = [_NO_REDIRECTS, ("sysctl", f"net/ipv4/conf/{name}/accept_redirects", "0")]
    if endpoint.request.ipv4_address or endpoint.request.mac_address:
        # An address used again at once: tell the neighbours, and the bridge, where it lives now.
        steps.append(("sysctl", f"net/ipv4/conf/{name}/arp_notify", "1"))
    if endpoint.ip_address:
        steps.append(("address", name, endpoint.ip_address, endpoint.ip_prefix_len))
    if endpoint.global_ipv6_address:
        steps += [("sysctl", f"net/ipv6/conf/{name}/{key}", "0") for key in ("accept_ra", "accept_redirects")]
        steps.append(("address", name, endpoint.global_ipv6_address, endpoint.global_ipv6_prefix_len))
    elif _HAS_IPV6:
        steps.append(("sysctl", f"net/ipv6/conf/{name}/disable_ipv6", "1"))
    return [*steps, ("link-up", name)]


def carrier(endpoints: Iterable[Endpoint]) -> list[Step]:
    """For the child, once its interfaces are up: their other ends are to be in use before its program is."""
    names = [endpoint.host_interface for endpoint in endpoints if endpoint.host_interface]
    return [("carrier", names)] if names else []


def default_routes(endpoint: Endpoint | None) -> list[Step]:
    """For the child: everything else goes through this endpoint, in place of one that had this role."""
    if endpoint is None:
        return []
    steps: list[Step] = [("route", "0.0.0.0/0", endpoint.gateway, endpoint.interface)] if endpoint.gateway else []
    if endpoint.ipv6_gateway:
        steps.append(("route", "::/0", endpoint.ipv6_gateway, endpoint.interface))
    return steps
