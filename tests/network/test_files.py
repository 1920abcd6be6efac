"""/etc/hosts and /etc/resolv.conf, as pure functions."""

import pytest

from firkin.errors import Invalid
from firkin.network.files import Resolver, extra_hosts, hosts_file

HOST = """\
# made by hand
nameserver 127.0.0.53
nameserver 10.0.0.2 # the office
domain old
search corp.example lab
options edns0
"""


def test_a_resolver_is_read_and_written():
    resolver = Resolver.parse(HOST)
    assert resolver == Resolver(("127.0.0.53", "10.0.0.2"), ("corp.example", "lab"), ("edns0",))
    assert Resolver.parse(resolver.text()) == resolver
    assert Resolver.parse("nameserver\nsearch\n;x\n\n").text() == ""


def test_loopback_servers_are_of_no_use_in_a_container():
    assert Resolver.parse(HOST).without_loopback().servers == ("10.0.0.2",)
    assert Resolver(("127.0.0.53", "::1")).without_loopback().servers == ("8.8.8.8", "8.8.4.4")
    assert Resolver(("fe80::1%eth0",)).without_loopback().servers == ("fe80::1%eth0",)


def test_what_is_asked_for_wins():
    resolver = Resolver.parse(HOST).override(["10.9.8.7"], [], ["ndots:3"])
    assert resolver.text() == "nameserver 10.9.8.7\nsearch corp.example lab\noptions ndots:3\n"
    assert resolver.override([], ["."], []).search == ()


def test_the_embedded_server_is_asked_for_every_name():
    assert Resolver.parse(HOST).embedded().text() == "nameserver 127.0.0.11\nsearch corp.example lab\noptions edns0 ndots:0\n"
    assert Resolver((), (), ("ndots:5",)).embedded().options == ("ndots:5",)


def test_hosts():
    text = hosts_file("box", "corp", ["172.17.0.2", "fd00::2"], [("10.0.0.1", "db")])
    assert text.endswith("ff02::2\tip6-allrouters\n10.0.0.1\tdb\n172.17.0.2\tbox.corp box\nfd00::2\tbox.corp box\n")


def test_extra_hosts():
    entries = ["db:10.0.0.1", "six=fd00::1", "six2:[fd00::2]", "gw:host-gateway"]
    expected = [("10.0.0.1", "db"), ("fd00::1", "six"), ("fd00::2", "six2"), ("172.17.0.1", "gw")]
    assert extra_hosts(entries, "172.17.0.1") == expected
    for bad in ("db", ":10.0.0.1", "db:nowhere"):
        with pytest.raises(Invalid, match="bad format for add-host"):
            extra_hosts([bad], "")
    with pytest.raises(Invalid, match="host-gateway"):
        extra_hosts(["gw:host-gateway"], "")
