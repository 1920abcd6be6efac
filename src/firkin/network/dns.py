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

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSError, DNSRecord

from firkin.linux import nftables
from firkin.network.files import EMBEDDED_SERVER
from firkin.network.model import Step
from firkin.network.names import Directory
from firkin.network.upstream import ask

_PORT = 65053  # above every range of ephemeral ports
_TTL = 600  # seconds
_LONGEST_LABEL = 63  # RFC 1035; the parser takes more
_MAX_BUSY = 100  # queries of one container under way to the outside
_MAX_CONNECTIONS = 20
_IDLE = 10.0  # seconds a TCP connection may wait for its next query

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
        self._connections = 0

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
        for task in self._tasks:
            task.cancel()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(data, over_udp=True)
        if answer:
            self._transport.sendto(answer, addr)
        elif answer is None and len(self._tasks) < _MAX_BUSY:
            task = asyncio.create_task(self._forward_datagram(data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward_datagram(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(await self._ask_outside(data, over_udp=True), addr)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            while self._connections <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_IDLE):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                answer = self._answer(query, over_udp=False)
                if answer is None:
                    answer = await self._ask_outside(query, over_udp=False)
                if not answer:
                    return
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    def _answer(self, data: bytes, *, over_udp: bool) -> bytes | None:
        """What the directory says; None if that is nothing, b"" if the query is none."""
        try:
            query = DNSRecord.parse(data)
            name, kind = str(query.q.qname).rstrip(".").lower(), query.q.qtype
        except (DNSError, ValueError, IndexError):
            return b""
        if query.header.qr or any(len(label) > _LONGEST_LABEL for label in query.q.qname.label):
            return b""
        records = self._pointer(name) if kind == QTYPE.PTR else self._addresses(name, kind)
        if records is None:
            return None
        reply = query.reply(ra=1, aa=0)
        reply.add_answer(*(RR(query.q.qname, record_kind, ttl=_TTL, rdata=data) for record_kind, data in records))
        packed = bytes(reply.pack())
        return packed if not over_udp or len(packed) <= _datagram_size(query) else bytes(reply.truncate().pack())

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

    async def _ask_outside(self, data: bytes, *, over_udp: bool) -> bytes:
        internal = all(member.network.internal for member in self._directory.of(self._container_id))
        answer = None if internal else await ask(data, self._upstream(), over_udp=over_udp)
        if answer is None:
            reply = DNSRecord.parse(data).reply(ra=1, aa=0)
            reply.header.rcode = RCODE.SERVFAIL
            return bytes(reply.pack())
        return answer


def _datagram_size(query: DNSRecord) -> int:
    """How long an answer over UDP the client takes: 512 unless it says more (RFC 6891)."""
    sizes = [int(record.rclass) for record in query.ar if record.rtype == QTYPE.OPT]
    return max(512, *sizes) if sizes else 512


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
