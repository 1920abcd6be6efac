"""Address management, as pure functions."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import Forbidden, Invalid, Unavailable
from firkin.network.ipam import DEFAULT_POOLS, AddressPool, check_free, choose_subnet, complete, mac_for, with_unique_local
from firkin.network.model import Subnet


def test_subnets_come_from_dockers_pools_in_dockers_order():
    taken: list[str] = []
    for _ in range(31):
        taken.append(choose_subnet(taken))
    assert taken[:3] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"]
    assert taken[14:17] == ["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]
    with pytest.raises(Unavailable, match="fully subnetted"):
        choose_subnet(taken)


def test_the_hosts_routes_are_avoided():
    assert choose_subnet(["172.16.0.0/14", "172.20.4.0/24", "fd00::/8"]) == "172.21.0.0/16"
    with pytest.raises(Forbidden, match="Pool overlaps"):
        check_free("10.0.3.0/24", ["10.0.0.0/16"])


def test_ipv6_comes_from_a_pool_of_the_engines_own():
    pools = with_unique_local(DEFAULT_POOLS, "an-engine")
    first = choose_subnet([], pools, version=6)
    net = ip_network(first)
    assert net.prefixlen == 64 and net.subnet_of(ip_network("fd00::/8")) and not net.subnet_of(ip_network("fd00::/16"))
    second = choose_subnet([first, "172.17.0.0/16"], pools, version=6)
    assert second != first and net.supernet(new_prefix=48) == ip_network(second).supernet(new_prefix=48)
    assert with_unique_local(DEFAULT_POOLS, "an-engine") == pools != with_unique_local(DEFAULT_POOLS, "another")
    assert choose_subnet(["fd00::/8"], pools) == "172.17.0.0/16"


def test_a_pool_of_ones_own_takes_its_place():
    pools = with_unique_local((("fd00:1::/56", 64), ("10.0.0.0/8", 24)), "an-engine")
    assert pools == (("fd00:1::/56", 64), ("10.0.0.0/8", 24))
    assert (choose_subnet([], pools), choose_subnet(["fd00:1::/64"], pools, version=6)) == ("10.0.0.0/24", "fd00:1:0:1::/64")


def test_a_request_is_completed_and_checked():
    assert complete(Subnet("10.1.2.3/24")) == Subnet("10.1.2.0/24", "", "10.1.2.1")
    assert complete(Subnet("fd00:1::/64")).gateway == "fd00:1::1"
    for bad, text in (
        (Subnet("10.1.0.0/33"), "invalid subnet"),
        (Subnet("10.1.0.0/24", ip_range="10.2.0.0/25"), "no matching subnet for range"),
        (Subnet("10.1.0.0/24", gateway="10.2.0.1"), "no matching subnet for gateway"),
        (Subnet("10.1.0.0/24", auxiliary={"x": "10.2.0.1"}), "no matching subnet for aux-address"),
    ):
        with pytest.raises(Invalid, match=text):
            complete(bad)


def test_a_pool_gives_every_address_once_and_then_says_so():
    pool = AddressPool(complete(Subnet("10.0.0.0/29", auxiliary={"printer": "10.0.0.4"})))
    assert [pool.take() for _ in range(4)] == ["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(Unavailable, match="no available IPv4 addresses"):
        pool.take()
    pool.give("10.0.0.3")
    assert pool.take() == "10.0.0.3"


def test_an_address_given_back_is_used_again_last():
    pool = AddressPool(complete(Subnet("10.0.0.0/29")))
    first = pool.take()
    pool.give(first)
    assert [pool.take() for _ in range(5)][-1] == first


def test_ranges_and_chosen_addresses():
    pool = AddressPool(complete(Subnet("10.0.0.0/24", ip_range="10.0.0.128/30")))
    assert pool.take_exactly("10.0.0.7") == "10.0.0.7", "anywhere in the subnet, if asked for"
    with pytest.raises(Forbidden, match="Address already in use"):
        pool.take_exactly("10.0.0.7")
    with pytest.raises(Forbidden):
        pool.take_exactly("10.0.0.1")
    assert [pool.take() for _ in range(4)] == [f"10.0.0.{i}" for i in (128, 129, 130, 131)]


@given(st.lists(st.one_of(st.just("take"), st.integers(0, 30)), max_size=80))
def test_no_address_is_ever_held_twice(operations):
    pool, held = AddressPool(complete(Subnet("10.0.0.0/28"))), []
    for operation in operations:
        if operation == "take":
            if len(held) == 13:
                with pytest.raises(Unavailable):
                    pool.take()
                continue
            address = pool.take()
            assert address not in held and address not in ("10.0.0.0", "10.0.0.1", "10.0.0.15")
            held.append(address)
        elif held:
            pool.give(held.pop(operation % len(held)))


def test_macs_belong_to_addresses():
    assert mac_for("172.17.0.2") == "02:42:ac:11:00:02"
