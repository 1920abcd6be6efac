"""The rules' text, as a reader sees it and as nft(8) accepts it."""

import subprocess

from firkin.network import rules
from firkin.network.firewall import Firewall
from firkin.network.model import BRIDGE_NAME, Forward, Network, Subnet
from tests.network.wires import isolated

PLAIN = Network("1", "bridge", 0, subnets=(Subnet("172.17.0.0/16", "", "172.17.0.1"),), options={BRIDGE_NAME: "firkin0"})
CLOSED = Network("2", "c", 0, internal=True, subnets=(Subnet("10.1.0.0/24", "", "10.1.0.1"),), options={BRIDGE_NAME: "br-c"})
WEB = Forward("tcp", "0.0.0.0", 8080, "172.17.0.2", 80)
LOCAL = Forward("udp", "127.0.0.1", 53, "172.17.0.3", 5353)
FORWARDS = (WEB, LOCAL, Forward("sctp", "::", 1, "fd00::2", 1), Forward("tcp", "fd00::1", 80, "fd00::2", 80))

EXPECTED = """\
add table ip firkin_x
delete table ip firkin_x
table ip firkin_x {
  map ports_of_address {
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    elements = { 127.0.0.1 . udp . 53 : 172.17.0.3 . 5353 }
  }
  map ports {
    type inet_proto . inet_service : ipv4_addr . inet_service
    elements = { tcp . 8080 : 172.17.0.2 . 80 }
  }
  chain published {
    dnat ip to ip daddr . meta l4proto . th dport map @ports_of_address
    dnat ip to meta l4proto . th dport map @ports
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    iifname != "lo" ip saddr 127.0.0.0/8 drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname . oifname { "firkin0" . "firkin0", "br-c" . "br-c" } accept
    iifname { "br-c" } drop
    oifname { "br-c" } drop
    ct state established,related accept
    oifname { "firkin0", "br-c" } ct status & dnat == 0 drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "firkin0" ct status dnat fib saddr type local masquerade
    oifname "firkin0" ct status dnat ip saddr 172.17.0.0/16 masquerade
    oifname != "firkin0" ip saddr 172.17.0.0/16 masquerade
    oifname "br-c" ct status dnat fib saddr type local masquerade
    oifname "br-c" ct status dnat ip saddr 10.1.0.0/24 masquerade
  }
}
"""


def test_the_whole_table():
    assert rules.tables("firkin_x", ["ip"], (PLAIN, CLOSED), (WEB, LOCAL)) == EXPECTED


@isolated
async def test_nft_takes_all_of_it(tmp_path):
    six = Network("3", "s", 0, enable_ipv6=True, subnets=(Subnet("fd00::/64", "", "fd00::1"),))
    for networks, forwards in (((PLAIN, CLOSED, six), FORWARDS), ((PLAIN, six), ()), ((), ())):
        _nft("-f", "-", input=rules.tables("firkin_x", rules.FAMILIES, networks, forwards))
    for _ in range(2):
        _nft("-f", "-", input=rules.remove_tables("firkin_x", rules.FAMILIES))
    assert _nft("list", "ruleset") == ""


@isolated
async def test_an_element_of_ours_is_one_of_nfts(tmp_path):
    firewall = Firewall("firkin_x", [PLAIN])
    firewall.remember(FORWARDS)
    await firewall.apply()
    written = _nft("list", "ruleset")
    for forwards in (FORWARDS, FORWARDS[:2]):
        await firewall.withdraw(forwards)
        assert " 8080 " not in _nft("list", "ruleset")
        await firewall.publish(forwards)
        assert _nft("list", "ruleset") == written


def _nft(*arguments, **options):
    return subprocess.run(["nft", *arguments], check=True, text=True, stdout=subprocess.PIPE, **options).stdout
