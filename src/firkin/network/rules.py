"""Firewall rules: nftables text for all networks and published ports of one engine. Pure.

Invariant: everything stands in tables of the engine's own (one a family), replaced in one transaction, so other people's
rules are neither read nor changed and `remove_tables` leaves nothing. A published port is one element of a map: the rules
do not grow with them, and starting a container changes no rule.

What a packet meets, in order:
  refuse       from ::1 and redirected: refused, and a client goes on to 127.0.0.1. There is no route_localnet for IPv6, so the
               answer would not come back; without a word the client would wait for it.
  guard        to or from 127.0.0.0/8 on the wire: dropped. The bridges have route_localnet, which alone would let it in.
  published    to an address of this host, from anywhere (prerouting) or from this host itself (output): to the container
               that published the port.
  forward      within one bridge, unless its containers are kept apart: accepted. From or to an internal network:
               dropped. Into a bridge: only answers and published ports, so networks are isolated from each other and from
               the outside. What neither comes from nor goes to a bridge is not for this table (but see `forwarding`).
  postrouting  what leaves a network gets the host's address. So does what was redirected and came from this host (a
               container cannot answer 127.0.0.1) or from the same bridge (the answer has to come back this way).

Source: nft(8); moby `libnetwork/drivers/bridge` for what has to be reachable and what must not be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from firkin.network.model import Forward, Network

FAMILIES = ("ip", "ip6")
_ANY = {"ip": "0.0.0.0", "ip6": "::"}


def tables(name: str, families: Iterable[str], networks: Sequence[Network], forwards: Sequence[Forward]) -> str:
    """A transaction that puts all that is to be said in place of whatever our tables held."""
    return "".join(
        f"{_removal(family, name)}table {family} {name} {{\n{_body(family, networks, forwards)}}}\n" for family in families
    )


def remove_tables(name: str, families: Iterable[str]) -> str:
    """A transaction after which none of our tables is left, were they there or not."""
    return "".join(_removal(family, name) for family in families)


def _removal(family: str, name: str) -> str:
    return f"add table {family} {name}\ndelete table {family} {name}\n"


def family_of(forward: Forward) -> str:
    """The table a forward is in, by nft's name for the family."""
    return "ip6" if ":" in forward.ip else "ip"


def map_of(forward: Forward) -> str:
    """The map a forward is an element of."""
    return "ports" if forward.host_ip == _ANY[family_of(forward)] else "ports_of_address"


def _element(forward: Forward) -> str:
    key = f"{forward.protocol} . {forward.host_port}"
    if map_of(forward) == "ports_of_address":
        key = f"{forward.host_ip} . {key}"
    return f"{key} : {forward.ip} . {forward.port}"


def _body(family: str, networks: Sequence[Network], forwards: Sequence[Forward]) -> str:
    bridges = [network for network in networks if network.driver == "bridge"]
    of_family = [forward for forward in forwards if family_of(forward) == family]
    return (
        "".join(_port_map(family, name, of_family) for name in ("ports_of_address", "ports"))
        + _chain("published", "", _published(family))
        + _chain(
            "prerouting", "type nat hook prerouting priority dstnat; policy accept;", ["fib daddr type local jump published"]
        )
        + _chain("output", "type nat hook output priority -100; policy accept;", ["fib daddr type local jump published"])
        + (_chain("refuse", "type filter hook output priority filter; policy accept;", _refuse()) if family == "ip6" else "")
        + _chain("guard", "type filter hook prerouting priority raw; policy accept;", _guard(family))
        + _chain("forward", "type filter hook forward priority filter; policy accept;", _forward(bridges))
        + _chain("postrouting", "type nat hook postrouting priority srcnat; policy accept;", _postrouting(family, bridges))
    )


def _port_map(family: str, name: str, forwards: Sequence[Forward]) -> str:
    address = "ipv4_addr" if family == "ip" else "ipv6_addr"
    prefix = f"{address} . " if name == "ports_of_address" else ""
    elements = ", ".join(_element(forward) for forward in forwards if map_of(forward) == name)
    content = f"    elements = {{ {elements} }}\n" if elements else ""
    return f"  map {name} {{\n    type {prefix}inet_proto . inet_service : {address} . inet_service\n{content}  }}\n"


def _chain(name: str, hook: str, rules: Sequence[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in (hook, *rules) if line) + "  }\n"


def _published(family: str) -> list[str]:
    return [
        f"dnat {family} to {family} daddr . meta l4proto . th dport map @ports_of_address",
        f"dnat {family} to meta l4proto . th dport map @ports",
    ]


def _refuse() -> list[str]:
    redirected = "ip6 saddr ::1 ip6 daddr != ::1 ct status dnat"
    return [f"{redirected} meta l4proto tcp reject with tcp reset", f"{redirected} reject"]


def _guard(family: str) -> list[str]:
    return [f'iifname != "lo" ip {end} 127.0.0.0/8 drop' for end in ("daddr", "saddr")] if family == "ip" else []


def _forward(networks: Sequence[Network]) -> list[str]:
    if not networks:
        return []
    internal = [network for network in networks if network.internal]
    closed = [f"iifname {_names(internal)} drop", f"oifname {_names(internal)} drop"] if internal else []
    within = ", ".join(f'"{network.bridge}" . "{network.bridge}"' for network in networks if network.icc)
    return [
        *([f"iifname . oifname {{ {within} }} accept"] if within else []),
        *closed,
        "ct state established,related accept",
        f"oifname {_names(networks)} ct status & dnat == 0 drop",
    ]


def _postrouting(family: str, networks: Sequence[Network]) -> list[str]:
    lines = []
    for network in networks:
        lines.append(f'oifname "{network.bridge}" ct status dnat fib saddr type local masquerade')
        for subnet in network.subnets:
            if subnet.is_ipv6 != (family == "ip6"):
                continue
            source = f"{family} saddr {subnet.subnet}"
            lines.append(f'oifname "{network.bridge}" ct status dnat {source} masquerade')
            if network.masquerade:
                lines.append(f'oifname != "{network.bridge}" {source} masquerade')
    return lines


def _names(networks: Sequence[Network]) -> str:
    return "{ " + ", ".join(f'"{network.bridge}"' for network in networks) + " }"
