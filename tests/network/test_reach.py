"""Who reaches whom: published ports from everywhere, isolation between networks, masquerading. Real packets."""

import asyncio
import socket
import struct
import subprocess

import pytest

from firkin.errors import Internal, Invalid
from firkin.model import PortBinding
from firkin.network import forwarding
from firkin.network.model import NetworkRequest, Subnet
from tests.network.wires import Here, ask_tcp, ask_udp, engine, isolated, other_host, record, serve_tcp, serve_udp, start, stop

HERE = Here()


@isolated
async def test_a_published_port_answers_from_everywhere(tmp_path):
    neighbour = other_host("lan0", "10.9.0.1", "10.9.0.2")
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("other"))
    web = await start(networks, record("web", ports={"80/tcp": (PortBinding("", "8080"),)}))
    same = await start(networks, record("same"))
    apart = await start(networks, record("apart", ("other",)))
    async with await serve_tcp(web.namespace, 80):
        gateway = web.record.endpoints["bridge"].gateway
        assert await ask_tcp(neighbour, "10.9.0.1", 8080) == "10.9.0.2", "another host; its address is kept"
        assert await ask_tcp(HERE, "10.9.0.1", 8080) == gateway, "the host's own address"
        assert await ask_tcp(HERE, gateway, 8080) == gateway, "the bridge's address"
        assert await ask_tcp(HERE, "127.0.0.1", 8080) == gateway, "loopback"
        assert await ask_tcp(same.namespace, "10.9.0.1", 8080) == gateway, "a container of the same network"
        assert await ask_tcp(same.namespace, gateway, 8080) == gateway
        assert await ask_tcp(apart.namespace, "10.9.0.1", 8080), "a container of another network"
        assert await ask_tcp(web.namespace, "10.9.0.1", 8080) == gateway, "the container itself (hairpin)"
        assert await ask_tcp(HERE, web.ip, 80) == gateway, "directly from the host"
        assert await ask_tcp(same.namespace, web.ip, 80) == same.ip, "directly from its network"
        assert await ask_tcp(apart.namespace, web.ip, 80) is None, "not directly from another network"
        await stop(networks, web)
        assert await ask_tcp(HERE, "127.0.0.1", 8080) is None


@isolated
async def test_a_published_port_answers_in_both_families(tmp_path):
    left, _ = _neighbours("0")
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("six", enable_ipv6=True, subnets=(Subnet("fd00:77::/64"),)))
    ports = {"80/tcp": (PortBinding("", "8080"), PortBinding("", ""), PortBinding("", "8080-8090"))}
    web = await start(networks, record("web", ("six",), ports=ports))
    same = await start(networks, record("same", ("six",)))
    alone = await start(networks, record("alone", ports={"80/tcp": (PortBinding("", "7000"),)}))
    first, second, *others, fifth, sixth = web.record.ports["80/tcp"]
    assert (first, second) == (PortBinding("0.0.0.0", "8080"), PortBinding("::", "8080"))
    assert (fifth, sixth) == (PortBinding("0.0.0.0", "8081"), PortBinding("::", "8081")), "of a range, free in both"
    assert [other.host_ip for other in others] == ["0.0.0.0", "::"] and len({other.host_port for other in others}) == 1
    assert alone.record.ports["80/tcp"] == (PortBinding("0.0.0.0", "7000"),), "no rule leads from one family to the other"
    gateway = web.record.endpoints["six"].gateway
    servers = [
        await serve_tcp(web.namespace, 80, "0.0.0.0", b"four "),
        await serve_tcp(web.namespace, 80, "fd00:77::2", b"six "),
    ]
    assert await ask_tcp(left, "fd00:9::1", 8080, timeout=10) == "six fd00:9::2", "another host; its address is kept"
    assert await ask_tcp(left, "10.9.0.1", 8080) == "four 10.9.0.2"
    assert await ask_tcp(HERE, "fd00:9::1", 8080) == "six fd00:77::1", "the host's own address"
    assert await _refusal("::1", 8080) == "refused", "no way back from there, so that a client tries the next address at once"
    assert await ask_tcp(HERE, "localhost", 8080) == f"four {gateway}"
    assert await ask_tcp(same.namespace, "fd00:9::1", 8080) == "six fd00:77::1", "a container of the same network"
    assert await ask_tcp(HERE, "::1", 7000) is None
    with pytest.raises(Invalid, match="IPv6 loopback"):
        await networks.acquire(record("inner", ("six",), ports={"80/tcp": (PortBinding("::1", "9000"),)}))
    with pytest.raises(Internal, match="port is already allocated"):
        await networks.acquire(record("late", ("six",), ports={"80/tcp": (PortBinding("", "8080"),)}))
    for running in (web, alone):
        await stop(networks, running)
    await start(networks, record("next", ("six",), ports={"80/tcp": (PortBinding("", "8080"),)}))
    for server in servers:
        server.close()


@isolated
async def test_udp_ranges_host_addresses_and_random_ports(tmp_path):
    neighbour = other_host("lan0", "10.9.0.1", "10.9.0.2")
    networks = await engine(tmp_path)
    ports = {
        "53/udp": (PortBinding("", "5300"),),
        "81/tcp": (PortBinding("10.9.0.1", "8000-8010"), PortBinding("127.0.0.1", "9000")),
        "82/tcp": (PortBinding("", ""),),
        "83/tcp": (PortBinding("", "8000-8010"),),
    }
    one = await start(networks, record("one", ports=ports))
    assert one.record.ports["81/tcp"] == (PortBinding("10.9.0.1", "8000"), PortBinding("127.0.0.1", "9000"))
    assert one.record.ports["83/tcp"] == (PortBinding("0.0.0.0", "8001"),), "8000 is taken on one of the addresses"
    random_port = int(one.record.ports["82/tcp"][0].host_port)
    assert random_port >= 32768
    transport = await serve_udp(one.namespace, 53)
    async with await serve_tcp(one.namespace, 81), await serve_tcp(one.namespace, 82), await serve_tcp(one.namespace, 83):
        assert await ask_udp(neighbour, "10.9.0.1", 5300) == "10.9.0.2"
        assert await ask_udp(HERE, "127.0.0.1", 5300) == one.record.endpoints["bridge"].gateway
        assert await ask_tcp(neighbour, "10.9.0.1", 8000)
        assert await ask_tcp(HERE, "127.0.0.1", 8000) is None, "bound to the other address only"
        assert await ask_tcp(HERE, "127.0.0.1", 9000)
        assert await ask_tcp(neighbour, "10.9.0.1", 9000) is None
        assert await ask_tcp(neighbour, "10.9.0.1", random_port)
        assert await ask_tcp(neighbour, "10.9.0.1", 8001)
    transport.close()


@isolated
async def test_a_udp_client_that_never_stops_finds_the_next_container(tmp_path):
    neighbour = other_host("lan0", "10.9.0.1", "10.9.0.2")
    networks = await engine(tmp_path)
    ports = {"53/udp": (PortBinding("", "5300"),)}
    assert await ask_udp(neighbour, "10.9.0.1", 5300, 4444) is None, "a flow to nobody is now being tracked"
    for _ in range(2):
        container = await start(networks, record("dns", ports=ports))
        transport = await serve_udp(container.namespace, 53)
        assert await ask_udp(neighbour, "10.9.0.1", 5300, 4444) == "10.9.0.2"
        transport.close()
        await stop(networks, container)


@isolated
async def test_networks_are_isolated_and_masqueraded(tmp_path):
    neighbour = other_host("lan0", "10.9.0.1", "10.9.0.2")
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("closed", internal=True))
    outward = await start(networks, record("outward"))
    inward = await start(networks, record("inward", ("closed",)))
    friend = await start(networks, record("friend", ("closed",)))
    neighbour.run(_route, outward.ip)
    async with await serve_tcp(neighbour, 80), await serve_tcp(outward.namespace, 80), await serve_tcp(inward.namespace, 80):
        assert await ask_tcp(outward.namespace, "10.9.0.2", 80) == "10.9.0.1", "with the host's address"
        assert await ask_tcp(neighbour, outward.ip, 80) is None, "what is not published is not reached from outside"
        assert await ask_tcp(friend.namespace, inward.ip, 80) == friend.ip
        assert await ask_tcp(HERE, inward.ip, 80), "the host itself is no stranger"
        inward.namespace.run(_default_route, "172.18.0.1")
        assert await ask_tcp(inward.namespace, "10.9.0.2", 80) is None, "not even with a route of its own making"
        assert await ask_tcp(outward.namespace, inward.ip, 80) is None


@isolated
async def test_loopback_services_of_the_host_stay_private(tmp_path):
    neighbour = other_host("lan0", "10.9.0.1", "10.9.0.2")
    networks = await engine(tmp_path)
    container = await start(networks, record("curious"))
    await start(networks, record("web", ports={"80/tcp": (PortBinding("127.0.0.1", "8080"),)}))
    gateway = container.record.endpoints["bridge"].gateway
    for namespace, router, interface in ((container.namespace, gateway, "eth0"), (neighbour, "10.9.0.1", "eth0")):
        namespace.run(_reroute_loopback, router, interface)
    async with await serve_tcp(HERE, 7000, "127.0.0.1"):
        assert await ask_tcp(HERE, "127.0.0.1", 7000)
        for namespace in (container.namespace, neighbour):
            for port in (7000, 8080):
                assert await ask_tcp(namespace, "127.0.0.1", port) is None
        table = next(name for name in await networks.rules() if name.startswith("ip "))
        await _nft(f"flush chain {table} guard")
        assert await ask_tcp(container.namespace, "127.0.0.1", 7000) == container.ip, "what would be without it"


@isolated
async def test_nobody_on_the_wire_passes_for_the_host_itself(tmp_path):
    """127.0.0.1 the kernel refuses by itself, as it is an interface's; not so the rest of 127.0.0.0/8, which servers trust too."""
    networks = await engine(tmp_path)
    container = await start(networks, record("curious"))
    gateway = container.record.endpoints["bridge"].gateway
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((gateway, 7000))
        server.settimeout(20)
        for source in ("127.9.9.9", container.ip):
            await container.namespace.arun(_send_as, source, gateway, 7000)
        assert server.recvfrom(100)[1][0] == container.ip, "the second one is the first to arrive"
        table = next(name for name in await networks.rules() if name.startswith("ip "))
        await _nft(f"flush chain {table} guard")
        await container.namespace.arun(_send_as, "127.9.9.9", gateway, 7000)
        assert server.recvfrom(100)[1][0] == "127.9.9.9", "what would be without the rule"


@isolated
async def test_loopback_services_stay_private_when_the_engine_is_gone(tmp_path):
    """A bridge that was there before, with neighbours of the host's on it, is there afterwards, and no rule guards it."""
    neighbour = other_host("lan0", "10.9.0.1", "10.9.0.2")
    networks = await engine(tmp_path, bridge="lan0", bip="10.9.0.1/24")
    neighbour.run(_reroute_loopback, "10.9.0.1", "eth0")
    async with await serve_tcp(HERE, 7000, "127.0.0.1"):
        assert await ask_tcp(neighbour, "127.0.0.1", 7000) is None
        await networks.close()
        assert await ask_tcp(neighbour, "127.0.0.1", 7000) is None
        with open("/proc/sys/net/ipv4/conf/lan0/route_localnet", "w", encoding="ascii") as file:
            file.write("1")
        assert await ask_tcp(neighbour, "127.0.0.1", 7000) == "10.9.0.2", "what would be without it"


@isolated
async def test_icc_off_keeps_containers_of_one_network_apart(tmp_path):
    networks = await engine(tmp_path, icc=False)
    one, two = await start(networks, record("one")), await start(networks, record("two"))
    async with await serve_tcp(one.namespace, 80):
        assert await ask_tcp(two.namespace, one.ip, 80) is None
        assert await ask_tcp(HERE, one.ip, 80)
    victim, gateway = await one.namespace.arun(_datagrams, 7000), one.record.endpoints["bridge"].gateway
    # By way of the host, to whom such a frame can be sent as well as a route be made here.
    two.namespace.run(_ip, "route", "add", one.ip, "via", gateway)
    await two.namespace.arun(_send_as, two.ip, one.ip, 7000)
    await HERE.arun(_send_as, gateway, one.ip, 7000)
    assert victim.recvfrom(100)[1][0] == gateway, "the host's is the first to arrive"
    victim.close()


@isolated
async def test_other_traffic_is_left_alone(tmp_path):
    left, right = _neighbours(routing="1")
    await engine(tmp_path)
    async with await serve_tcp(right, 80), await serve_tcp(right, 86, "fd00:8::2"):
        assert await ask_tcp(left, "10.8.0.2", 80) == "10.9.0.2"
        assert await ask_tcp(left, "fd00:8::2", 86, timeout=10) == "fd00:9::2"


@isolated
async def test_a_host_that_did_not_route_does_so_for_containers_alone(tmp_path):
    left, right = _neighbours(routing="0")
    networks = await engine(tmp_path)
    six = await networks.create(NetworkRequest("six", enable_ipv6=True, subnets=(Subnet("fd00:77::/64"),)))
    web = await start(networks, record("web", ports={"80/tcp": (PortBinding("", "8080"),)}))
    late = await start(networks, record("late", ("six",)))
    async with await serve_tcp(right, 80), await serve_tcp(right, 86, "fd00:8::2"), await serve_tcp(web.namespace, 80):
        assert await ask_tcp(web.namespace, "10.8.0.2", 80) == "10.8.0.1"
        assert await ask_tcp(late.namespace, "10.8.0.2", 80) == "10.8.0.1"
        assert await ask_tcp(late.namespace, "fd00:8::2", 86, timeout=10) == "fd00:8::1"
        assert await ask_tcp(left, "10.9.0.1", 8080) == "10.9.0.2"
        assert await _strangers(left) == [None, None]
        await stop(networks, late)
        await networks.remove("six")
        assert six.bridge not in await _nft("list ruleset")
        await networks.close()
        assert await _strangers(left) == [None, None], "forwarding stays on, so this stays, too"
        again = await engine(tmp_path)
        one = await start(again, record("one"))
        assert await ask_tcp(one.namespace, "10.8.0.2", 80) == "10.8.0.1"
        assert await _strangers(left) == [None, None]
        for family in ("ip", "ip6"):
            await _nft(f"delete table {family} {forwarding.TABLE}")
        assert await _strangers(left) == ["10.9.0.2", "fd00:9::2"], "what would be without it"


@isolated
async def test_others_may_add_to_what_is_forwarded(tmp_path):
    left, right = _neighbours(routing="0")
    networks = await engine(tmp_path)
    await _nft(f"add element ip {forwarding.TABLE} bridges {{ lan0 }}")
    await networks.create(NetworkRequest("late"))
    async with await serve_tcp(right, 80):
        assert await ask_tcp(left, "10.8.0.2", 80) == "10.9.0.2"


@isolated
async def test_rules_live_in_tables_of_our_own_and_vanish(tmp_path):
    _route_for_all("1")
    await _nft("add table ip theirs; add chain ip theirs x")
    before = await _nft("list ruleset")
    networks = await engine(tmp_path)
    container = await start(networks, record("web", ports={"80/tcp": (PortBinding("", "8080"),)}))
    assert "8080" in await _nft("list ruleset")
    await _nft("flush ruleset")
    second = await start(networks, record("again", ports={"80/tcp": (PortBinding("", "8081"),)}))
    text = await _nft("list ruleset")
    assert "8080" in text and "8081" in text and "masquerade" in text, "somebody's flush is repaired by the next start"
    for running in (container, second):
        await stop(networks, running)
    assert "808" not in await _nft("list ruleset")
    await _nft("add table ip theirs; add chain ip theirs x")
    await networks.close()
    assert await _nft("list ruleset") == before


async def _refusal(ip, port):
    """How the host itself fails to connect."""
    try:
        async with asyncio.timeout(1.5):
            await asyncio.open_connection(ip, port)
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silence"
    return "connected"


def _neighbours(routing):
    """Two other machines on wires of their own, which would reach each other through this host."""
    _route_for_all(routing)
    left, right = other_host("lan0", "10.9.0.1", "10.9.0.2"), other_host("lan1", "10.8.0.1", "10.8.0.2")
    for number, host in ((9, left), (8, right)):
        _ip("address", "add", f"fd00:{number}::1/64", "dev", f"lan{9 - number}", "nodad")
        host.run(_ip, "address", "add", f"fd00:{number}::2/64", "dev", "eth0", "nodad")
        host.run(_ip, "route", "add", "default", "via", f"fd00:{number}::1")
        host.run(_default_route, f"10.{number}.0.1")
    return left, right


def _route_for_all(value):
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{switch}", "w", encoding="ascii") as file:
            file.write(value)


def _datagrams(port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", port))
    made.settimeout(20)
    return made


def _send_as(source, target, port):
    """A datagram in somebody else's name. The kernel fills in lengths and checksum of the IP header."""
    datagram = struct.pack("!HHHH", 4444, port, 12, 0) + b"spam"
    header = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + socket.inet_aton(source) + socket.inet_aton(target) + datagram, (target, 0))


async def _strangers(left):
    """What one of the neighbours sees of the other."""
    return [await ask_tcp(left, "10.8.0.2", 80), await ask_tcp(left, "fd00:8::2", 86, timeout=3)]


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


async def _nft(command):
    done = await asyncio.to_thread(subprocess.run, ["nft", command], capture_output=True, text=True, check=True)
    return done.stdout


def _route(ip):
    subprocess.run(["ip", "route", "add", ip, "via", "10.9.0.1"], check=True)


def _default_route(gateway):
    subprocess.run(["ip", "route", "add", "default", "via", gateway], check=True)


def _reroute_loopback(router, interface):
    """Send what is for 127.0.0.1 out over the wire, as an attacker would."""
    with open(f"/proc/sys/net/ipv4/conf/{interface}/route_localnet", "w", encoding="ascii") as file:
        file.write("1")
    _ip("address", "del", "127.0.0.1/8", "dev", "lo")  # whose routes come before all others
    _ip("route", "add", "127.0.0.1", "via", router)
