"""Forwarding of DNS queries to the servers of the host, byte for byte.

Invariant: every query goes out from a socket of its own, connected to the server it asks, and an answer has its id and its
question, so that one forged by others would have to guess the port too (RFC 5452). Source: RFC 1035, section 4.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from firkin.network.dns_wire import is_answer

_PATIENCE = 4.0  # seconds for each server, as Docker's
_MAX_SERVERS = 3  # resolv.conf(5), MAXNS


async def ask(query: bytes, servers: Sequence[str], *, over_udp: bool) -> bytes | None:
    """The answer of the first server that gives one; None if none does."""
    ask_one = _ask_by_datagram if over_udp else _ask_by_stream
    for server in servers[:_MAX_SERVERS]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await ask_one(query, server)
        except (OSError, EOFError, TimeoutError):
            continue
    return None


class _Answer(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers the query."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if is_answer(self._query, data) and not self.received.done():
            self.received.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.received.done():
            self.received.set_exception(exc)


async def _ask_by_datagram(query: bytes, server: str) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Answer(query), remote_addr=(server, 53))
    try:
        transport.sendto(query)
        return await protocol.received
    finally:
        transport.close()


async def _ask_by_stream(query: bytes, server: str) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        if not is_answer(query, answer):
            raise EOFError("the server answers something else")
        return answer
    finally:
        writer.close()
