"""rtnetlink against the running kernel, in namespaces of the tests' own."""

import os
import socket
import subprocess

import pytest
from tests.network.wires import Here, Namespace, ask_udp, isolated, serve_udp

from firkin.linux import nftables, rtnetlink
from firkin.linux.conntrack import forget_udp
from firkin.linux.netlink import LOOPBACK, Netlink, NetlinkError
from firkin.linux.netlink_wire import Channel, attributes, nested, number, text

HERE = Here()


def test_attributes_survive_the_trip():
    data = number(1, 7) + text(3, "eth0") + nested(18, text(1, "veth"))
    assert attributes(data) == {1: b"\7\0\0\0", 3: b"eth0\0", 18: text(1, "veth")}
    assert len(data) % 4 == 0
    assert attributes(b"\2\0\1\0junk") == {}


@isolated
async def test_a_container_is_wired_by_one_message(tmp_path):
    guest = Namespace()
    with Netlink() as netlink:
        index = netlink.create_bridge("br0", "02:42:00:00:00:01", 1400)
        netlink.add_address("br0", "10.0.0.1", 24)
        before = netlink.links()
        netlink.request(rtnetlink.veth("v1", index, "eth0", "02:42:0a:00:00:02", 1400, netns=guest.fd))
        assert netlink.links().keys() - before.keys() == {"v1"}
    guest.run(_inside)
    shown = subprocess.run(["ip", "-d", "link", "show", "v1"], capture_output=True, text=True, check=True).stdout
    assert "master br0" in shown and "mtu 1400" in shown and "LOWER_UP" in shown
    transport = await serve_udp(guest, 7)
    assert await ask_udp(HERE, "10.0.0.2", 7) == "10.0.0.1"
    transport.close()


def _inside():
    with Netlink() as netlink:
        eth0 = netlink.link_index("eth0")
        netlink.request(
            rtnetlink.link_up(LOOPBACK),
            rtnetlink.address(eth0, "10.0.0.2", 24),
            rtnetlink.link_up(eth0),
            rtnetlink.route("0.0.0.0/0", "10.0.0.1", eth0),
        )
        assert (eth0, "10.0.0.2", 24) in netlink.addresses()
        assert sorted(netlink.routes()) == [("0.0.0.0/0", eth0), ("10.0.0.0/24", eth0)]
        shown = subprocess.run(["ip", "-d", "addr", "show", "eth0"], capture_output=True, text=True, check=True).stdout
        assert "02:42:0a:00:00:02" in shown and "brd 10.0.0.255" in shown


@isolated
async def test_the_kernels_own_words_and_the_refused_message(tmp_path):
    with Netlink() as netlink:
        netlink.create_bridge("br0", "02:42:00:00:00:01")
        index = netlink.link_index("br0")
        again = rtnetlink.address(index, "10.0.0.1", 24)
        with pytest.raises(NetlinkError) as refused:
            netlink.request(rtnetlink.link_up(index), again, again, rtnetlink.link_name(index, "x" * 20))
        assert refused.value.index == 2 and refused.value.errno == 17
        assert "ddress already assigned" in refused.value.strerror or refused.value.strerror == "File exists"
        with pytest.raises(NetlinkError, match="invalid gateway"):
            netlink.add_route("10.9.0.0/16", "1.2.3.4", "br0")
        with pytest.raises(OSError, match="No such device"):
            netlink.set_up("nosuch")
        with pytest.raises(OSError, match="No such device"):
            netlink.set_up("br0".ljust(16, "x"))  # too long for a name, and not to be cut to one
        netlink.set_up("br0")  # answers to the failed ones are not in the way


@isolated
async def test_links_addresses_and_routes_come_and_go(tmp_path):
    with Netlink() as netlink:
        netlink.set_up("lo")
        netlink.create_bridge("br0", "02:42:00:00:00:01")
        netlink.add_address("br0", "10.0.0.1", 24)
        netlink.add_address("br0", "fd00::1", 64)
        assert (netlink.link_index("br0"), "fd00::1", 64) in netlink.addresses(socket.AF_INET6)
        netlink.add_route("10.7.0.0/16", "10.0.0.9", "br0")
        netlink.add_route("10.7.0.0/16", "10.0.0.8", "br0")
        assert [d for d, _ in netlink.routes()].count("10.7.0.0/16") == 1, "the second one took the place of the first"
        netlink.delete_route("10.7.0.0/16", "10.0.0.8", "br0")
        netlink.add_route("10.8.0.0/16", "", "br0")
        assert {d for d, _ in netlink.routes()} == {"10.0.0.0/24", "10.8.0.0/16"}
        netlink.delete_address("br0", "10.0.0.1", 24)
        assert [ip for _, ip, _ in netlink.addresses()] == ["127.0.0.1"]
        netlink.create_veth("v1", netlink.link_index("br0"), "p1", "", 0, pid=os.getpid())
        netlink.set_port("v1", True, True)
        shown = subprocess.run(["bridge", "-d", "link", "show", "dev", "v1"], capture_output=True, text=True, check=True).stdout
        assert "hairpin on" in shown and "isolated on" in shown
        netlink.rename("p1", "p2")
        netlink.delete_link("p2")
        assert set(netlink.links()) == {"lo", "br0"}, "the other end went with it"


@isolated
async def test_a_first_packet_is_not_lost(tmp_path):
    with Netlink() as host:
        index = host.create_bridge("br0", "02:42:00:00:00:01")
        host.add_address("br0", "10.0.0.1", 16)

        def up_and_away(number):
            with Netlink() as netlink:
                netlink.add_address("eth0", f"10.0.1.{number}", 16)
                netlink.set_up("eth0")
            host.settle_carrier(f"v{number}")
            with socket.socket() as made, pytest.raises(ConnectionRefusedError):
                made.settimeout(0.5)  # a lost ARP request is repeated after a second
                made.connect(("10.0.0.1", 9))

        for number in range(1, 31):
            guest = Namespace()
            host.create_veth(f"v{number}", index, "eth0", "", 0, netns=guest.fd)
            guest.run(up_and_away, number)
            guest.close()


@isolated
async def test_a_hundred_links_are_all_listed(tmp_path):
    with Netlink() as netlink:
        for i in range(100):
            netlink.create_bridge(f"br{i}", f"02:42:00:00:00:{i:02x}")
        assert len(netlink.links()) == 101


@isolated
async def test_a_redirection_inside_a_namespace(tmp_path):
    with Netlink() as netlink:
        netlink.set_up("lo")
    batch = nftables.transaction(
        nftables.table("t"),
        nftables.output_nat_chain("t", "c"),
        nftables.redirect("t", "c", socket.IPPROTO_UDP, "127.0.0.11", 53, 6000),
    )
    with Channel(nftables.NETLINK_NETFILTER) as channel:
        channel.replay(batch)
        with pytest.raises(NetlinkError):
            channel.replay(nftables.transaction(nftables.redirect("t", "nosuch", 17, "127.0.0.11", 53, 6000)))
    shown = subprocess.run(["nft", "list", "table", "t"], capture_output=True, text=True, check=True).stdout
    assert "ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:6000" in shown
    transport = await serve_udp(HERE, 6000, "127.0.0.11")
    assert await ask_udp(HERE, "127.0.0.11", 53)
    with open("/proc/net/nf_conntrack", encoding="ascii") as file:
        assert "dport=53" in file.read()
    forget_udp({53})
    with open("/proc/net/nf_conntrack", encoding="ascii") as file:
        assert "dport=53" not in file.read()
    transport.close()
