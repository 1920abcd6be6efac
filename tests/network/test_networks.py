"""The networks service: create, find, remove, connect; what survives; what a failure leaves."""

import ipaddress
import os
import socket
from dataclasses import replace

import pytest

from firkin.errors import Conflict, Forbidden, Internal, Invalid, NotFound, Unavailable
from firkin.linux.netlink import Netlink
from firkin.model import EndpointRequest, HostConfig, PortBinding
from firkin.network.model import BRIDGE_NAME, MTU, NetworkRequest, Subnet
from tests.network.wires import Here, ask_tcp, carry_out, engine, isolated, open_networks, record, serve_tcp, start, stop

HERE = Here()


@isolated
async def test_the_default_networks(tmp_path):
    networks = await engine(tmp_path)
    assert [(n.name, n.driver) for n in networks.list({})] == [("bridge", "bridge"), ("host", "host"), ("none", "null")]
    bridge = networks.find("default")
    assert bridge.subnets[0].subnet == "172.17.0.0/16" and bridge.bridge == "firkin0" and bridge.mtu == 1500
    with Netlink() as netlink:
        assert ("172.17.0.1", 16) in [(ip, prefix) for _, ip, prefix in netlink.addresses()]
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        assert file.read() == "1\n"
    for name in ("bridge", "host", "none"):
        with pytest.raises(Forbidden, match=f"{name} is a pre-defined network and cannot be removed"):
            await networks.remove(name)
    again = await engine(tmp_path)
    assert again.find("bridge").id == bridge.id, "the same after a restart"


@isolated
async def test_bridge_and_bip(tmp_path):
    (tmp_path / "a").mkdir()
    networks = await engine(tmp_path / "a", bip="10.44.0.9/24")
    one = await start(networks, record("one"))
    assert one.ip == "10.44.0.1" and one.record.endpoints["bridge"].gateway == "10.44.0.9"
    networks = await engine(tmp_path / "a", bip="10.45.0.1/24")
    with Netlink() as netlink:
        assert [ip for _, ip, _ in netlink.addresses()] == ["127.0.0.1", "10.45.0.1"]
        netlink.create_bridge("mine", "02:00:00:00:00:01")
        netlink.add_address("mine", "10.46.0.1", 24)
    (tmp_path / "b").mkdir()
    second = await engine(tmp_path / "b", bridge="mine")
    assert second.find("bridge").subnets[0] == Subnet("10.46.0.0/24", gateway="10.46.0.1")
    (tmp_path / "c").mkdir()
    third = await engine(tmp_path / "c", bridge="none")
    with pytest.raises(NotFound):
        third.find("bridge")


@isolated
async def test_two_engines_side_by_side(tmp_path):
    engines = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        engines.append(await engine(tmp_path / name, bridge="br" + name))
    one = await start(engines[0], record("one", ports={"80/tcp": (PortBinding("", "8080"),)}))
    await start(engines[1], record("two", ports={"80/tcp": (PortBinding("", "8081"),)}))
    assert engines[0].find("bridge").subnets != engines[1].find("bridge").subnets
    await engines[1].close()
    async with await serve_tcp(one.namespace, 80):
        assert await ask_tcp(HERE, "127.0.0.1", 8080)


@isolated
async def test_what_cannot_be_created(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app", options={BRIDGE_NAME: "br-app"}))
    for request, kind, text in (
        (NetworkRequest("app"), Conflict, "network with name app already exists"),
        (NetworkRequest("bridge"), Forbidden, "operation is not permitted on predefined bridge network"),
        (NetworkRequest(" "), Invalid, "name cannot be empty"),
        (NetworkRequest("x", driver="foo"), NotFound, 'plugin "foo" not found'),
        (NetworkRequest("x", driver="host"), Forbidden, 'only one instance of "host" network is allowed'),
        (NetworkRequest("x", subnets=(Subnet("172.17.4.0/24"),)), Forbidden, "Pool overlaps"),
        (NetworkRequest("x", subnets=(Subnet("10.0.0.0/8"), Subnet("10.1.0.0/16"))), Forbidden, "Pool overlaps"),
        (NetworkRequest("x", options={BRIDGE_NAME: "a" * 16}), Invalid, "invalid bridge name"),
        (NetworkRequest("x", options={BRIDGE_NAME: "../x"}), Invalid, "invalid bridge name"),
        (NetworkRequest("x", options={BRIDGE_NAME: 'x" accept'}), Invalid, "invalid bridge name"),
        (NetworkRequest("x", options={BRIDGE_NAME: "br-app"}), Forbidden, "in use"),
        (NetworkRequest("x", options={MTU: "big"}), Invalid, "invalid value"),
    ):
        with pytest.raises(kind, match=text):
            await networks.create(request)
    assert [network.name for network in networks.list({"type": ["custom"]})] == ["app"]
    with Netlink() as netlink:
        assert set(netlink.links()) == {"lo", "firkin0", "br-app"}


@isolated
async def test_networks_are_found_listed_pruned_and_outlive_the_daemon(tmp_path):
    networks = await engine(tmp_path)
    app = await networks.create(NetworkRequest("app", labels={"tier": "web"}, options={MTU: "1400"}))
    await networks.create(NetworkRequest("spare", subnets=(Subnet("10.3.0.0/24", "10.3.0.128/25", "10.3.0.9"),)))
    again = await engine(tmp_path)
    assert again.find(app.id[:6]) == again.find("app") == app
    assert [n.name for n in again.list({"label": ["tier=web"]})] == ["app"]
    assert [n.name for n in again.list({"name": ["pa"], "driver": ["bridge"]})] == ["spare"]
    with pytest.raises(NotFound, match="network nosuch not found"):
        again.find("nosuch")
    one = await start(again, record("one", ("app",)))
    assert (await start(again, record("two", ("spare",)))).ip == "10.3.0.128"
    mtu = one.namespace.run(lambda: open("/proc/sys/net/ipv6/conf/eth0/mtu", encoding="ascii").read())
    assert mtu == "1400\n"
    with pytest.raises(Forbidden, match=f"error while removing network: network app id {app.id} has active endpoints"):
        await again.remove("app")
    assert await again.prune({}) == []
    await stop(again, one)
    assert await again.prune({}, created_before=app.created) == []
    assert await again.prune({"label": ["tier"]}) == ["app"]
    with Netlink() as netlink:
        assert app.bridge not in netlink.links()


@isolated
async def test_a_failed_start_leaves_nothing(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("small", subnets=(Subnet("10.3.0.0/30"),)))
    holder = await start(networks, record("holder", ("small",), ports={"80/tcp": (PortBinding("", "8080"),)}))
    with pytest.raises(Unavailable, match=r"no available IPv4 addresses on this network's address pools: small \("):
        await networks.acquire(record("late", ("bridge", "small")))
    assert not networks.members(networks.find("bridge"))
    wanted = {"80/tcp": (PortBinding("", "9090"), PortBinding("127.0.0.1", "8080"))}
    where = r"driver failed programming external connectivity on endpoint web \([0-9a-f]{64}\)"
    with pytest.raises(Internal, match=f"^{where}: Bind for 127.0.0.1:8080 failed: port is already allocated$"):
        await networks.acquire(record("web", ports=wanted))
    assert not networks.members(networks.find("bridge"))
    await stop(networks, holder)
    await start(networks, record("web", ports=wanted))


@isolated
async def test_ports_of_others_are_respected_and_ours_held(tmp_path):
    networks = await engine(tmp_path)
    with (
        socket.create_server(("0.0.0.0", 8080)),
        pytest.raises(Internal, match=r"listen tcp4 0.0.0.0:8080: bind: address already in use"),
    ):
        await networks.acquire(record("web", ports={"80/tcp": (PortBinding("", "8080"),)}))
    await start(networks, record("web", ports={"80/tcp": (PortBinding("", "8080"),), "53/udp": (PortBinding("", "53"),)}))
    for kind, port in ((socket.SOCK_STREAM, 8080), (socket.SOCK_DGRAM, 53)):
        with socket.socket(type=kind) as other, pytest.raises(OSError, match="in use"):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
    with pytest.raises(Internal, match=r"listen tcp4 10.99.0.1:8091: bind: cannot assign requested address"):
        await networks.acquire(record("far", ports={"80/tcp": (PortBinding("10.99.0.1", "8091"),)}))


@isolated
async def test_addresses_that_were_asked_for(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app", subnets=(Subnet("10.3.0.0/24"),)))
    await networks.create(NetworkRequest("auto"))

    def on(network, **request):
        return record("fixed", (network,), requests={network: EndpointRequest(**request)})

    fixed = await start(networks, on("app", ipv4_address="10.3.0.77", mac_address="02-00-00-00-00-AA"))
    endpoint = fixed.record.endpoints["app"]
    assert (endpoint.ip_address, endpoint.mac_address) == ("10.3.0.77", "02:00:00:00:00:aa")
    for container, kind, text in (
        (on("app", ipv4_address="10.3.0.77"), Forbidden, "Address already in use"),
        (on("app", ipv4_address="10.4.0.1"), Invalid, "no configured subnet contains IP address 10.4.0.1"),
        (on("app", ipv4_address="10.4.0"), Invalid, "invalid IP address"),
        (on("auto", ipv4_address="172.18.0.9"), Invalid, "only when connecting to networks with user configured subnets"),
        (on("bridge", ipv4_address="172.17.0.9"), Invalid, "supported on user defined networks only"),
        (on("bridge", mac_address="zz"), Invalid, "invalid MAC address"),
    ):
        with pytest.raises(kind, match=text):
            await networks.acquire(container)
    async with await serve_tcp(fixed.namespace, 80):
        assert await ask_tcp(HERE, "10.3.0.77", 80)
    await stop(networks, fixed)
    again = await start(networks, on("app", ipv4_address="10.3.0.77", mac_address="02:00:00:00:00:bb"))
    async with await serve_tcp(again.namespace, 80):
        assert await ask_tcp(HERE, "10.3.0.77", 80), "reached at once, though neighbours knew another hardware address"


@isolated
async def test_several_networks_and_the_way_out(tmp_path):
    networks = await engine(tmp_path)
    for request in (NetworkRequest("beta"), NetworkRequest("alpha"), NetworkRequest("aaa", internal=True)):
        await networks.create(request)
    ports = {"80/tcp": (PortBinding("", "8080"),)}
    one = await start(networks, record("one", ("beta", "aaa"), ports=ports))
    ends = one.record.endpoints
    assert (ends["beta"].interface, ends["aaa"].interface) == ("eth0", "eth1") and ends["aaa"].gateway == ""
    assert _default_route(one) == "eth0"
    async with await serve_tcp(one.namespace, 80):
        more = await networks.connect(one.record, networks.find("alpha"), EndpointRequest(), "netns")
        await carry_out(networks, one.record, one.namespace, more)
        assert _default_route(one) == "eth2", "the first name in the alphabet that leads outside"
        assert await ask_tcp(HERE, "127.0.0.1", 8080) == more.endpoints["alpha"].gateway, "ports follow it"
        connected = replace(one.record, endpoints=more.endpoints)
        less = await networks.disconnect(connected, networks.find("alpha"))
        await carry_out(networks, one.record, one.namespace, less)
        assert _default_route(one) == "eth0" and list(less.endpoints) == ["beta", "aaa"]
        assert await ask_tcp(HERE, "127.0.0.1", 8080) == ends["beta"].gateway
    preferred = await networks.acquire(record("two", ("alpha", "beta"), requests={"beta": EndpointRequest(gw_priority=1)}))
    assert ("route", "0.0.0.0/0", ends["beta"].gateway, "eth1") in preferred.child_steps


@isolated
async def test_who_may_connect_where(tmp_path):
    networks = await engine(tmp_path)
    app = await networks.create(NetworkRequest("app"))
    bridge, none, host = (networks.find(name) for name in ("bridge", "none", "host"))
    stopped = record("stopped")
    planned = await networks.connect(stopped, app, EndpointRequest(aliases=("a",)), "netns")
    assert list(planned.endpoints) == ["bridge", "app"] and not planned.parent_steps and not networks.members(app)
    for container, network, kind, text in (
        (stopped, bridge, Forbidden, "endpoint with name stopped already exists in network bridge"),
        (stopped, host, Invalid, "cannot be disconnected from host network or connected to host network"),
        (stopped, none, Invalid, "private \\(none\\) mode"),
        (record("n", ("none",)), app, Invalid, "private \\(none\\) mode"),
        (record("h", ("host",)), app, Invalid, "host network"),
        (record("c", (), mode="container:x"), app, Invalid, "sharing network namespace"),
    ):
        with pytest.raises(kind, match=text):
            await networks.connect(container, network, EndpointRequest(), "netns")
    with pytest.raises(Forbidden, match=f"container {stopped.id} is not connected to network app"):
        await networks.disconnect(stopped, app)
    one = await start(networks, record("one"))
    await networks.disconnect(one.record, bridge)
    alone = replace(one.record, endpoints={})
    back = await networks.connect(alone, app, EndpointRequest(), "netns")
    assert back.parent_steps, "it runs, though it was on no network"


@isolated
async def test_modes_without_a_bridge(tmp_path):
    networks = await engine(tmp_path)
    none = await networks.acquire(record("n", ("none",)))
    assert none.child_steps == (("link-up", "lo"),) and not none.parent_steps
    host = await networks.acquire(record("h", ("host",), ports={"80/tcp": (PortBinding("", "8080"),)}))
    assert not host.child_steps and not host.parent_steps and host.endpoints["host"].endpoint_id
    assert (await networks.acquire(record("c", (), mode="container:x"))).child_steps == ()


@isolated
async def test_a_new_daemon_takes_over_addresses_and_ports(tmp_path):
    networks = await engine(tmp_path)
    app = await networks.create(NetworkRequest("app"))
    ports = {"80/tcp": (PortBinding("", "8080"),)}
    one = await start(networks, record("one", ("app",), ports=ports, exposed_ports=("80/tcp", "443/tcp")))
    assert one.record.ports == {"80/tcp": (PortBinding("0.0.0.0", "8080"),), "443/tcp": ()}
    networks._publisher.close()  # what the kernel does when the daemon is killed
    async with await serve_tcp(one.namespace, 80):
        assert await ask_tcp(HERE, "127.0.0.1", 8080), "it answers without a daemon"
        again = await open_networks(tmp_path)
        assert await ask_tcp(HERE, "127.0.0.1", 8080), "and while the next one starts"
        again.restore(one.record)
        await again.settle()
        assert await ask_tcp(HERE, "127.0.0.1", 8080)
        assert list(again.members(app)) == [one.record.id]
        assert (await start(again, record("two", ("app",)))).ip != one.ip
        with pytest.raises(Internal, match="port is already allocated"):
            await again.acquire(record("three", ports=ports))
        await stop(again, one)
        await start(again, record("three", ports=ports))


@isolated
async def test_a_reboot_comes_up_clean(tmp_path):
    networks = await engine(tmp_path)
    app = await networks.create(NetworkRequest("app"))
    await networks.close()
    with Netlink() as netlink:
        for name in ("firkin0", app.bridge):
            netlink.delete_link(name)
        netlink.create_bridge("lan", "02:00:00:00:00:01")
        netlink.add_address("lan", "172.17.3.4", 24)
    again = await engine(tmp_path)
    assert again.find("app").subnets == app.subnets
    assert again.find("bridge").subnets[0].subnet == "172.19.0.0/16", "this host has come to use 172.17 otherwise"
    await start(again, record("one", ("app",)))


@isolated
async def test_an_ipv6_network_without_a_subnet_gets_one(tmp_path):
    networks = await engine(tmp_path)
    six = await networks.create(NetworkRequest("six", enable_ipv6=True))
    given = await networks.create(NetworkRequest("given", enable_ipv6=True, subnets=(Subnet("10.7.0.0/16"),)))
    assert [subnet.subnet for subnet in (six.subnets[0], given.subnets[0])] == ["172.18.0.0/16", "10.7.0.0/16"]
    nets = [ipaddress.ip_network(network.subnets[1].subnet) for network in (six, given)]
    assert nets[0] != nets[1] and all(net.prefixlen == 64 and net.subnet_of(ipaddress.ip_network("fd00::/8")) for net in nets)
    one, two = await start(networks, record("one", ("six",))), await start(networks, record("two", ("six",)))
    address = one.record.endpoints["six"].global_ipv6_address
    async with await serve_tcp(one.namespace, 80, "::"):
        assert await ask_tcp(two.namespace, address, 80) == two.record.endpoints["six"].global_ipv6_address


@isolated
async def test_pools_that_cannot_be(tmp_path):
    for pool in (
        {"base": "10.0.0.0/8"},
        {"base": "x", "size": 24},
        {"base": "10.0.0.0/24", "size": 16},
        {"base": "fd00::/48", "size": 129},
    ):
        with pytest.raises(Invalid, match="default-address-pools"):
            await open_networks(tmp_path, default_address_pools=(pool,))


@isolated
async def test_ipv6_networks(tmp_path):
    networks = await engine(tmp_path)
    six = await networks.create(NetworkRequest("six", enable_ipv6=True, subnets=(Subnet("fd00:77::/64"),)))
    assert [subnet.subnet for subnet in six.subnets] == ["172.18.0.0/16", "fd00:77::/64"]
    ports = {"80/tcp": (PortBinding("::", "8080"), PortBinding("0.0.0.0", "8080"))}
    one, two = await start(networks, record("one", ("six",), ports=ports)), await start(networks, record("two", ("six",)))
    end = one.record.endpoints["six"]
    assert (end.global_ipv6_address, end.global_ipv6_prefix_len, end.ipv6_gateway) == ("fd00:77::2", 64, "fd00:77::1")
    async with await serve_tcp(one.namespace, 80, "::", b"six "), await serve_tcp(one.namespace, 81):
        assert await ask_tcp(two.namespace, "fd00:77::2", 80) == "six fd00:77::3"
        assert await ask_tcp(HERE, "fd00:77::1", 8080), "published"
    with pytest.raises(Invalid, match="no address of that family"):
        await networks.acquire(record("three", ports=ports))


@isolated
async def test_hosts_and_resolv_conf(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    other = await start(networks, record("other"))
    links = (f"{other.record.id}:friend",)
    host = HostConfig(extra_hosts=("db:10.1.2.3", "me:host-gateway"), dns_search=("corp",), links=links)
    one = await start(networks, record("one", host=host, hostname="box", domainname="corp"))
    text = networks.hosts_file(one.record)
    assert text.startswith("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    assert "\n10.1.2.3\tdb\n172.17.0.1\tme\n" in text and f"\n{one.ip}\tbox.corp box\n" in text
    assert f"\n{other.ip}\tfriend {other.record.id[:12]} other\n" in text
    assert "search corp\n" in networks.resolv_conf(one.record)
    on_app = await start(networks, record("two", ("app",)))
    assert networks.resolv_conf(on_app.record).startswith("nameserver 127.0.0.11\n")
    assert "ndots:0" in networks.resolv_conf(on_app.record)
    shared = record("three", ("host",))
    await networks.acquire(shared)
    with open("/etc/hosts", encoding="utf-8") as file:
        assert networks.hosts_file(shared) == file.read()


@isolated
async def test_without_nft_the_remedy_is_named(tmp_path):
    networks = await open_networks(tmp_path)
    os.environ["PATH"] = "/nonexistent"
    with pytest.raises(Unavailable, match="apt-get install nftables"):
        await networks.settle()


def _default_route(running):
    """The interface everything else goes through."""

    def inside():
        with Netlink() as netlink:
            names = {index: name for name, index in netlink.links().items()}
            return [names[index] for destination, index in netlink.routes() if destination == "0.0.0.0/0"]

    (interface,) = running.namespace.run(inside)
    return interface


@isolated
async def test_what_a_client_says_is_no_firewall_rule(tmp_path):
    networks = await engine(tmp_path)
    before = (await networks.rules(), networks.list({}))
    rule = "x;}};flush ruleset;table ip6 t {chain c {ip6 saddr fd00::"
    for options, subnets in (
        ({BRIDGE_NAME: 'a" accept'}, ()),
        ({BRIDGE_NAME: 'a"}accept;#'}, ()),
        ({BRIDGE_NAME: "eth*"}, ()),
        ({}, (Subnet(f"fd00::%{rule}/64"),)),
        ({}, (Subnet("fd00::/64", gateway=f"fd00::1%{rule}"),)),
        ({}, (Subnet("fd00::/64", ip_range=f"fd00::%{rule}/80"),)),
    ):
        with pytest.raises(Invalid):
            await networks.create(NetworkRequest("hostile", enable_ipv6=bool(subnets), options=options, subnets=subnets))
    with pytest.raises(Invalid):
        await networks.acquire(record("web", ports={"80/tcp": (PortBinding(f"::1%{rule}", "8080"),)}))
    assert (await networks.rules(), networks.list({})) == before
