"""Steps of a plan inside a container's network namespace: its interfaces, addresses, routes, rules, sockets.

Source: rtnetlink(7), ip(7), libnftables' batches as `linux.netlink_wire` frames them.
"""

from __future__ import annotations

from firkin.linux import sockets as socket
from firkin.linux.netlink import Netlink
from firkin.linux.netlink_wire import Channel
from firkin.runtime.state import State

_NETLINK_NETFILTER = 12
_BACKLOG = 16


def _netlink(state: State) -> Netlink:
    """One socket for all of a plan's steps; it belongs to the namespace that it was opened in."""
    if state.netlink is None:
        state.netlink = Netlink()
    return state.netlink


def link_up(state: State, name: str) -> None:
    _netlink(state).set_up(name)


def link_rename(state: State, old: str, new: str) -> None:
    _netlink(state).rename(old, new)


def address(state: State, name: str, ip: str, prefix: int) -> None:
    _netlink(state).add_address(name, ip, prefix)


def route(state: State, destination: str, gateway: str, name: str) -> None:
    _netlink(state).add_route(destination, gateway, name)


def carrier(state: State, host_names: list[str]) -> None:
    """The interfaces are up in here: let their other ends on the host notice before a program sends its first packet."""
    if state.host_netlink:
        for name in host_names:
            state.host_netlink.settle_carrier(name)
        state.host_netlink.close()


def nft(state: State, batch: bytes) -> None:
    """Firewall rules, framed by the daemon; the kernel takes all or none."""
    with Channel(_NETLINK_NETFILTER) as channel:
        channel.replay(batch)


def sockets(state: State, wanted: list[tuple[str, str, int]]) -> None:
    """Open sockets ("udp" or "tcp", address, port) in this namespace for the daemon to serve from its own."""
    opened = [_listener(*one) for one in wanted]
    state.send("sockets", descriptors=[one.fileno() for one in opened])
    for one in opened:
        one.close()


def _listener(kind: str, ip: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((ip, port))
    if kind == "tcp":
        listener.listen(_BACKLOG)
    return listener


STEPS = {
    "link-up": link_up,
    "link-rename": link_rename,
    "address": address,
    "route": route,
    "carrier": carrier,
    "nft": nft,
    "sockets": sockets,
}
