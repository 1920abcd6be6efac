"""Published ports: which host port each gets, and holding them against everybody else.

Invariant: while a port is published, a socket of ours is bound to it, so that any other process gets EADDRINUSE, as
from docker-proxy. The firewall redirects packets before they reach that socket; should one get through (the rules were
flushed), a filter on the socket drops it, for nobody will ever answer there.
Source: moby `libnetwork/portallocator`, `libnetwork/portmapper` (also the messages).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import typing
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

from firkin.errors import FirkinError, Internal, reason
from firkin.model import Endpoint, PortBinding
from firkin.network.bindings import host_ports, split_port, ways
from firkin.network.model import Forward, Protocol

_SO_ATTACH_FILTER = 26
_DROP_EVERYTHING = struct.pack("=HBBI", 0x06, 0, 0, 0)  # one classic BPF instruction: return 0 bytes
_KINDS = {"tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP), "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
          "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP)}  # fmt: skip
_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"

Key = tuple[Protocol, str, int]


class Elsewhere(typing.Protocol):
    """Where ports are published that this network namespace is not the place for: the host, for a user's engine."""

    def open(self, forward: Forward) -> None:
        """Hold the port and carry what comes to it. Raises OSError."""

    def close(self, forward: Forward) -> None: ...

    def keep_only_open(self) -> None:
        """Close what an earlier daemon opened and this one has not opened again."""


class HeldPorts:
    """The host ports of one engine, each with the socket that holds it here, or `elsewhere` if they are to be had there: that
    carries what comes itself, so it may lead from IPv6 to a container that has IPv4 only."""

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self._elsewhere = elsewhere
        self.crosses = elsewhere is not None
        self._held: dict[Key, socket.socket | None] = {}
        with open(_EPHEMERAL, encoding="ascii") as file:
            self._low, self._high = (int(word) for word in file.read().split())
        self._next = self._low

    def publish(self, bindings: list[tuple[str, PortBinding]], endpoint: Endpoint, default_host_ip: str) -> list[Forward]:
        """Hold a host port for each of `bindings` and say where it leads at `endpoint`; all or none."""
        forwards: list[Forward] = []
        try:
            for text, binding in bindings:
                port, protocol = split_port(text)
                found = ways(text, binding, endpoint, default_host_ip, crosses=self.crosses)
                wanted = [Forward(protocol, host_ip, 0, ip, port) for host_ip, ip in found]
                forwards += self._take(binding.host_port, wanted)
        except FirkinError:
            self.release(forwards)
            raise
        return forwards

    def hold_again(self, forward: Forward) -> bool:
        """Take back a port whose rule outlived the daemon; False when somebody else has it by now."""
        try:
            self._hold(forward)
        except FirkinError:
            return False
        return True

    def release(self, forwards: list[Forward]) -> None:
        for forward in forwards:
            key = (forward.protocol, forward.host_ip, forward.host_port)
            if self._elsewhere and key in self._held:
                self._elsewhere.close(forward)
            holder = self._held.pop(key, None)
            if holder:
                holder.close()

    def close_others(self) -> None:
        """See `Elsewhere.keep_only_open`."""
        if self._elsewhere:
            self._elsewhere.keep_only_open()

    def close(self) -> None:
        for holder in self._held.values():
            if holder:
                holder.close()
        self._held.clear()

    def _take(self, wanted: str, forwards: list[Forward]) -> list[Forward]:
        """`forwards`, all from one port, as `wanted`: "8080", the first free of "8000-8010", or any for ""."""
        first, last = host_ports(wanted) or (0, 0)
        if first and first == last:
            return self._hold_all(forwards, first)
        for port in range(first, last + 1) if first else self._ephemeral():
            try:
                return self._hold_all(forwards, port)
            except Internal:
                continue
        raise Internal("all ports are allocated")

    def _hold_all(self, forwards: list[Forward], port: int) -> list[Forward]:
        held: list[Forward] = []
        try:
            for forward in forwards:
                held.append(self._hold(replace(forward, host_port=port)))
        except Internal:
            self.release(held)
            raise
        return held

    def _ephemeral(self) -> Iterator[int]:
        """Every port the kernel itself hands out, going on from the last one, so that none is used again at once."""
        for _ in range(self._low, self._high + 1):
            port = self._next
            self._next = port + 1 if port < self._high else self._low
            yield port

    def _hold(self, forward: Forward) -> Forward:
        """The same, its port held. Raises `Internal` with dockerd's words when it is taken, by a container or by anybody."""
        protocol, host_ip, port = forward.protocol, forward.host_ip, forward.host_port
        for other_protocol, other_ip, other_port in self._held:
            if (protocol, port) == (other_protocol, other_port) and _overlap(host_ip, other_ip):
                raise Internal(f"Bind for {host_ip}:{port} failed: port is already allocated")
        try:
            if self._elsewhere:
                self._elsewhere.open(forward)
                self._held[protocol, host_ip, port] = None
            else:
                self._held[protocol, host_ip, port] = _holding_socket(protocol, host_ip, port)
        except OSError as error:
            shown = f"[{host_ip}]" if ":" in host_ip else host_ip
            family = "6" if ":" in host_ip else "4"
            raise Internal(f"listen {protocol}{family} {shown}:{port}: bind: {reason(error)}")
        return forward


def _overlap(a: str, b: str) -> bool:
    return (":" in a) == (":" in b) and (a == b or ip_address(a).is_unspecified or ip_address(b).is_unspecified)


def _holding_socket(protocol: Protocol, host_ip: str, port: int) -> socket.socket | None:
    """A socket bound to the port and deaf; None where the kernel has no such protocol."""
    family = socket.AF_INET6 if ":" in host_ip else socket.AF_INET
    try:
        holder = socket.socket(family, *_KINDS[protocol])
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            return None
        raise
    try:
        instruction = ctypes.create_string_buffer(_DROP_EVERYTHING, len(_DROP_EVERYTHING))
        holder.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(instruction)))
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if holder.type == socket.SOCK_STREAM:
            # Connections a former server of this port left in TIME_WAIT are no obstacle; another listener still is.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host_ip, port))
        if holder.type == socket.SOCK_STREAM:
            holder.listen(1)
        return holder
    except OSError:
        holder.close()
        raise
