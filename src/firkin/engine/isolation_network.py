"""A container's way to the world: its links, the host's ends of them, the bridge behind, and the rules on the way.

All of it is asked of the kernel from this side: rtnetlink knows the links of a namespace that a veth pair leads to, and
the rules are those that nft(8) reads back over netlink.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from firkin.engine.isolation_model import Interface, Network
from firkin.linux import netns_view, procfs
from firkin.linux.netns_view import Link

SHARED = Network(note="the host's own: nothing separates the two")
_NO_WIRE = "no link leads out of it"


def of(pid: int, rules: dict[str, str]) -> Network:
    """Of a process in another network namespace. `rules`: table -> its text."""
    with netns_view.open_channel() as channel:
        number = netns_view.namespace_number(channel, pid)
        if number < 0:
            return Network(tuple(Interface(name, "", True, ()) for name in _names(pid)), note=_NO_WIRE)
        here = netns_view.links(channel)
        inside = netns_view.links(channel, number)
        addresses = netns_view.addresses(channel, number)
    interfaces = tuple(_interface(link, here, number, addresses) for link in inside)
    bridges = {one.bridge for one in interfaces if one.bridge}
    own = {address.partition("/")[0] for one in interfaces if one.bridge for address in one.addresses}
    families = {"ip6" if ":" in address else "ip" for address in own if not address.startswith("fe80:")}
    lines = [line for line in _lines(rules) if line[0].partition(" ")[0] in families]
    published = tuple(element for _, _, line in lines for element in _elements(line, own))
    concerned = tuple(line for line in lines if any(f'"{bridge}"' in line[2] for bridge in bridges))
    return Network(interfaces, published, concerned, note="" if bridges else _NO_WIRE)


def _names(pid: int) -> Iterator[str]:
    for line in procfs.read(pid, "net/dev").splitlines()[2:]:
        yield line.partition(":")[0].strip()


def _interface(link: Link, here: list[Link], number: int, addresses: Iterable[tuple[int, str]]) -> Interface:
    other = next((one for one in here if one.peer_namespace == number and one.peer == link.index), None)
    bridge = next((one.name for one in here if other and other.master == one.index), "")
    own = tuple(address for index, address in addresses if index == link.index)
    return Interface(link.name, link.mac, link.up, own, other.name if other else "", bridge)


# --- the rules' text -----------------------------------------------------------------------------------------------
def _lines(rules: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """(table, chain or map, line), each statement of more than one line in one."""
    for table, text in rules.items():
        block = ""
        for line in re.sub(r",\n\s*", ", ", text).splitlines():
            words = line.split()
            if words[:1] in (["chain"], ["map"]):
                block = words[1]
            elif block and words and words != ["}"] and words[0] not in ("type", "flags"):
                yield table, block, line.strip()


def _elements(line: str, addresses: set[str]) -> Iterator[str]:
    """The elements of a map of published ports that lead to one of `addresses`: "tcp . 8080 : 172.17.0.2 . 80"."""
    if line.startswith("elements = {"):
        for element in line.removeprefix("elements = {").rstrip("} ").split(","):
            if element.rpartition(" : ")[2].split(" . ")[0] in addresses:
                yield element.strip()
