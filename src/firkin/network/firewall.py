"""The firewall: hands the text of `rules` to nft(8), and published ports, element by element, to the kernel itself.

Invariant: changes happen one after another, so the maps of published ports in the kernel are always what is held here.
An element goes in by our own netlink message because nft(8) takes 4 ms to start, and 15 ms to exit after a deletion (the
kernel has it wait for the memory to be freed).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Sequence

from firkin.errors import Internal, Unavailable
from firkin.linux import nftables
from firkin.linux.netlink_wire import Channel, Message, NetlinkError
from firkin.network import rules
from firkin.network.forwarding import Forwarding
from firkin.network.model import Forward, Network

_FAMILIES = {"ip": socket.AF_INET, "ip6": socket.AF_INET6}
_PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
_HAS_IPV6 = os.path.exists("/proc/sys/net/ipv6")


class Firewall:
    """The nftables tables called `name`, one for each address family the kernel has. `networks` is asked again whenever the
    tables are written. `forwards`: whether this host is to route IPv4 for them; IPv6 it is as soon as one of them has it."""

    def __init__(self, name: str, networks: Iterable[Network], *, forwards: bool = False) -> None:
        self._name = name
        self._forwards, self._forwarding = forwards, Forwarding()
        self._networks = networks
        self._families = rules.FAMILIES if _HAS_IPV6 else rules.FAMILIES[:1]
        self._published: tuple[Forward, ...] = ()
        self._lock = asyncio.Lock()
        self._channel = Channel(nftables.NETLINK_NETFILTER)

    def remember(self, forwards: Iterable[Forward]) -> None:
        """Count `forwards` among the published ones; the next `apply` makes it so."""
        self._published = (*self._published, *forwards)

    async def apply(self) -> None:
        """Put everything in place of whatever our tables held."""
        async with self._lock:
            await self._write()

    async def publish(self, forwards: Sequence[Forward]) -> None:
        """Add `forwards`, none of which is published yet."""
        async with self._lock:
            self.remember(forwards)
            await self._change(nftables.add_element, forwards)

    async def withdraw(self, forwards: Sequence[Forward]) -> None:
        """Remove those of `forwards` that are published."""
        async with self._lock:
            gone = [forward for forward in forwards if forward in self._published]
            self._published = tuple(forward for forward in self._published if forward not in gone)
            await self._change(nftables.delete_element, gone)

    async def remove(self) -> None:
        async with self._lock:
            await _nft(rules.remove_tables(self._name, self._families))

    async def rules(self) -> dict[str, str]:
        """Table -> its text, read back from the kernel; without those that are not there."""
        return {f"{family} {self._name}": text for family in self._families if (text := await _listed(family, self._name))}

    async def _change(self, change: Callable[..., Message], forwards: Sequence[Forward]) -> None:
        """Carry out a change of elements; or write all anew, should somebody have removed our tables (`nft flush ruleset`,
        a restart of nftables.service)."""
        if not forwards:
            return
        try:
            self._channel.replay(nftables.transaction(*(self._message(change, forward) for forward in forwards)))
        except NetlinkError:
            await self._write()

    def _message(self, change: Callable[..., Message], forward: Forward) -> Message:
        family = _FAMILIES[rules.family_of(forward)]
        port = (bytes([_PROTOCOLS[forward.protocol]]), forward.host_port.to_bytes(2, "big"))
        address = (socket.inet_pton(family, forward.host_ip),) if rules.map_of(forward) == "ports_of_address" else ()
        target = (socket.inet_pton(family, forward.ip), forward.port.to_bytes(2, "big"))
        return change(family, self._name, rules.map_of(forward), address + port, target)

    async def _write(self) -> None:
        networks = tuple(self._networks)
        wanted = {"ip": self._forwards, "ip6": any(network.enable_ipv6 for network in networks)}
        await self._forwarding.want((family for family in self._families if wanted[family]), _listed)
        bridges = [network.bridge for network in networks if network.driver == "bridge"]
        text = rules.tables(self._name, self._families, networks, self._published)
        await _nft(text + self._forwarding.tables(bridges))
        self._forwarding.enable()


async def _listed(family: str, name: str) -> str:
    """The text of a table, "" if there is none (or no nft to say so)."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", "list", "table", family, name, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        return ""
    text, _ = await process.communicate()
    return text.decode(errors="replace")


async def _nft(text: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", "-f", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise Unavailable("run nft: not installed; on Debian or Ubuntu: apt-get install nftables") from None
    _, errors = await process.communicate(text.encode())
    if process.returncode:
        raise Internal(f"apply firewall rules: {errors.decode(errors='replace').strip()}")
