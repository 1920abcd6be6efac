"""The embedded DNS server: containers on user-defined networks find each other by name, at 127.0.0.11.

Its sockets are made inside each container's network namespace, on a port of their own so that a server in the container
may have port 53, and reach the daemon as descriptors; a rule in that namespace redirects 127.0.0.11:53 to them.
Invariant: a container on internal networks only gets no answer from the outside, not even through us (CVE-2024-29018).
Source: RFC 1035; moby `libnetwork/resolver.go`.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A
from dnslib.label import DNSLabelError

from firkin.linux import nftables
from firkin.network.dns_wire import Query, parse_query
from firkin.network.files import EMBEDDED_SERVER
from firkin.network.model import Step
from firkin.network.names import Directory
from firkin.network.upstream import ask

_PORT = 65053  # above every range of ephemeral ports
_TTL = 600  # seconds
_MAX_BUSY = 100  # queries of one container under way to the outside
_MAX_CONNECTIONS = 20
_IDLE = 10.0  # seconds a TCP connection may take to send its next query, and to take the answer

SOCKETS: Step = ("sockets", [("udp", EMBEDDED_SERVER, _PORT), ("tcp", EMBEDDED_SERVER, _PORT)])
"""The step that makes what `NameServer.serve` takes, in that order."""


_RULES = [
    nftables.redirect("firkin_dns", "output", protocol, EMBEDDED_SERVER, 53, _PORT)
    for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP)
]
REDIRECTION: Step = (
    "nft",
    nftables.transaction(nftables.table("firkin_dns"), nftables.output_nat_chain("firkin_dns", "output"), *_RULES),
)
"""The step that sends what a container asks 127.0.0.11:53 to those sockets."""


class NameServer(asyncio.DatagramProtocol):
    """The server of one container. `upstream` says, at each query, which servers know the rest of the world."""

    def __init__(self, directory: Directory, container_id: str, upstream: Callable[[], Sequence[str]]) -> None:
        self._directory = directory
        self._container_id = container_id
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None] | None] = set()

    async def serve(self, sockets: Sequence[int]) -> None:
        """Answer on these descriptors, one UDP and one listening TCP socket, which become ours."""
        datagrams, listener = (socket.socket(fileno=fd) for fd in sockets)
        for made in (datagrams, listener):
            made.setblocking(False)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=datagrams)
        self._server = await asyncio.start_server(self._connected, sock=listener)

    def close(self) -> None:
        self._transport.close()
        self._server.close()
        for task in (*self._tasks, *self._connections):
            if task:
                task.cancel()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = parse_query(data)
        if query is None:
            return
        if answer := self._answer(query, over_udp=True):
            self._transport.sendto(answer, addr)
        elif len(self._tasks) < _MAX_BUSY:
            task = asyncio.create_task(self._forward_datagram(query, data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward_datagram(self, query: Query, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(await self._ask_outside(query, data, over_udp=True), addr)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        try:
            if len(self._connections) < _MAX_CONNECTIONS:
                self._connections.add(task)
                writer.transport.set_write_buffer_limits(0)  # so that what is drained is the kernel's
                while await self._exchange(reader, writer):
                    pass
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()  # to close() is to wait for a client that never reads

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One query and its answer; False if it was no query."""
        async with asyncio.timeout(_IDLE):
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        query = parse_query(data)
        if query is None:
            return False
        answer = self._answer(query, over_udp=False) or await self._ask_outside(query, data, over_udp=False)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        async with asyncio.timeout(_IDLE):
            await writer.drain()
        return True

    def _answer(self, query: Query, *, over_udp: bool) -> bytes | None:
        """What the directory says; None if that is nothing."""
        try:
            records = self._pointer(query.name) if query.kind == QTYPE.PTR else self._addresses(query.name, query.kind)
            if records is None:
                return None
            reply = query.reply()
            reply.add_answer(*(RR(query.label, kind, ttl=_TTL, rdata=data) for kind, data in records))
            packed = bytes(reply.pack())
        except (UnicodeError, DNSLabelError):  # a network may be called what is no name on the wire
            packed = bytes(query.reply(RCODE.SERVFAIL).pack())
        return query.fitting(packed) if over_udp else packed

    def _addresses(self, name: str, kind: int) -> list[tuple[int, object]] | None:
        """Records of `kind`, none if the name has none of it; None for a name that is no container's."""
        endpoints = self._directory.resolve(self._container_id, name)
        if not endpoints:
            return None
        random.shuffle(endpoints)
        if kind == QTYPE.AAAA:
            return [(kind, AAAA(e.global_ipv6_address)) for e in endpoints if e.global_ipv6_address]
        return [(QTYPE.A, A(e.ip_address)) for e in endpoints if e.ip_address] if kind in (QTYPE.A, QTYPE.ANY) else []

    def _pointer(self, name: str) -> list[tuple[int, object]] | None:
        found = self._directory.name_of(self._container_id, _reversed_address(name))
        return [(QTYPE.PTR, PTR(found))] if found else None

    async def _ask_outside(self, query: Query, data: bytes, *, over_udp: bool) -> bytes:
        """What others answer to `data`, which is `query` on the wire."""
        internal = all(member.network.internal for member in self._directory.of(self._container_id))
        answer = None if internal else await ask(data, self._upstream(), over_udp=over_udp)
        if answer is None:
            return bytes(query.reply(RCODE.SERVFAIL).pack())
        return query.fitting(answer) if over_udp else answer


def _reversed_address(name: str) -> str:
    """The address a PTR query is about; "" if that is none."""
    try:
        if name.endswith(".in-addr.arpa"):
            return socket.inet_ntop(socket.AF_INET, bytes(int(part) for part in name.split(".")[3::-1]))
        if name.endswith(".ip6.arpa"):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex("".join(name.split(".")[31::-1])))
    except ValueError:
        pass
    return ""
