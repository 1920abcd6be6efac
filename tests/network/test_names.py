"""The embedded DNS server, asked by clients inside containers' namespaces."""

import asyncio
import os
import socket
import subprocess
from dataclasses import replace

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from firkin.linux.netlink import Netlink
from firkin.model import EndpointRequest, HostConfig
from firkin.network import dns
from firkin.network.model import NetworkRequest
from tests.lab import SLOWNESS
from tests.network.wires import carry_out, child_steps, engine, isolated, other_host, record, start, stop


async def ask(where, name, kind="A", *, server="127.0.0.11", tcp=False, timeout=1.0 * SLOWNESS):
    """(rcode, sorted records' data); None if nobody answers."""
    query = DNSRecord.question(name, kind)

    def exchange():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as made:
            made.settimeout(timeout)
            made.connect((server, 53))
            if tcp:
                made.sendall(len(query.pack()).to_bytes(2, "big") + query.pack())
                length = int.from_bytes(made.recv(2), "big")
                return DNSRecord.parse(made.recv(length, socket.MSG_WAITALL))
            made.send(query.pack())
            return DNSRecord.parse(made.recv(4096))

    try:
        answer = await where.arun(exchange)
    except OSError:
        return None
    assert answer.header.id == query.header.id
    return RCODE[answer.header.rcode], sorted(str(one.rdata) for one in answer.rr)


async def serve_dns(where, address, answers):
    """A stand-in for the world's DNS: `answers` by name, else NXDOMAIN; it remembers what it was asked."""
    asked = []

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            query = DNSRecord.parse(data)
            name = str(query.q.qname)
            asked.append(name)
            reply = query.reply()
            if name in answers:
                reply.add_answer(RR(name, QTYPE.A, rdata=A(answers[name])))
            else:
                reply.header.rcode = RCODE.NXDOMAIN
            self.transport.sendto(reply.pack(), addr)

    def bound():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 53))
        made.setblocking(False)
        return made

    await asyncio.get_running_loop().create_datagram_endpoint(Server, sock=await where.arun(bound))
    return asked


@isolated
async def test_containers_of_a_network_find_each_other(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    await networks.create(NetworkRequest("other"))
    requests = {"app": EndpointRequest(aliases=("database",))}
    db = await start(networks, record("db", ("app",), requests=requests, hostname="dbhost"))
    db2 = await start(networks, record("db2", ("app",), requests=requests))
    web = await start(networks, record("web", ("app",), requests={"app": EndpointRequest(links=("db:linked",))}))
    stranger = await start(networks, record("stranger", ("other",)))
    for name in ("db", "DB", "db.app", "dbhost", db.record.id[:12], "linked"):
        assert await ask(web.namespace, name) == ("NOERROR", [db.ip]), name
    assert await ask(web.namespace, "db", tcp=True) == ("NOERROR", [db.ip])
    assert await ask(web.namespace, "database") == ("NOERROR", sorted([db.ip, db2.ip]))
    assert await ask(web.namespace, "db", "AAAA") == ("NOERROR", []), "it exists, without an IPv6 address"
    reverse = ".".join(reversed(db.ip.split("."))) + ".in-addr.arpa"
    assert await ask(web.namespace, reverse, "PTR") == ("NOERROR", ["db.app."])
    for name in ("db", "linked", "db.app"):
        assert (await ask(stranger.namespace, name))[1] == []
    assert (await ask(db.namespace, "linked"))[1] == [], "a link is its owner's alone"
    networks.renamed(replace(db.record, name="renamed"))
    assert await ask(web.namespace, "renamed") == ("NOERROR", [db.ip])
    await stop(networks, db2)
    assert await ask(web.namespace, "database") == ("NOERROR", [db.ip])


@isolated
async def test_the_rest_of_the_world_is_asked_from_the_host(tmp_path):
    resolver = other_host("lan0", "10.9.0.1", "10.9.0.2")
    asked = await serve_dns(resolver, "10.9.0.2", {"example.com.": "192.0.2.7"})
    dead = "10.9.0.77"
    _host_resolv_conf(tmp_path, "nameserver 10.9.0.2\n")
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    await networks.create(NetworkRequest("closed", internal=True))
    web = await start(networks, record("web", ("app",)))
    inner = await start(networks, record("inner", ("closed",)))
    assert await ask(web.namespace, "example.com") == ("NOERROR", ["192.0.2.7"])
    assert await ask(web.namespace, "web") == ("NOERROR", [web.ip])
    assert (await ask(web.namespace, "nowhere.example")) == ("NXDOMAIN", [])
    assert asked == ["example.com.", "nowhere.example."]
    assert await ask(inner.namespace, "example.com") == ("SERVFAIL", []), "an internal network has no way out"
    assert await ask(inner.namespace, "inner") == ("NOERROR", [inner.ip])
    assert len(asked) == 2
    own = await start(networks, record("own", ("app",), host=HostConfig(dns=("10.9.0.2",))))
    _host_resolv_conf(tmp_path, f"nameserver {dead}\n")
    assert await ask(own.namespace, "example.com") == ("NOERROR", ["192.0.2.7"]), "--dns goes before the host's"


@isolated
async def test_a_container_may_have_port_53_itself(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    web = await start(networks, record("web", ("app",)))
    other = await start(networks, record("other", ("app",)))

    def own_server():
        udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        udp.bind(("0.0.0.0", 53))
        tcp.bind(("0.0.0.0", 53))
        tcp.listen()
        return udp, tcp

    udp, tcp = web.namespace.run(own_server)
    assert await ask(web.namespace, "other") == ("NOERROR", [other.ip])
    assert await ask(web.namespace, "other", tcp=True) == ("NOERROR", [other.ip])
    assert await ask(other.namespace, "other", server=web.ip, timeout=0.2) is None
    assert udp.recv(500, socket.MSG_DONTWAIT), "and its own clients reach its own server"
    udp.close()
    tcp.close()


@isolated
async def test_garbage_and_floods_do_no_harm(tmp_path):
    _host_resolv_conf(tmp_path, "nameserver 10.255.255.1\n")
    with Netlink() as netlink:  # a route to nowhere: queries are sent, never answered
        netlink.create_bridge("void", "02:00:00:00:00:09")
        netlink.add_address("void", "10.255.255.2", 24)
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    web = await start(networks, record("web", ("app",)))

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            for junk in (b"", b"x", bytes(12), os.urandom(200), b"\0\0\x81\x80" + bytes(20)):
                made.sendto(junk, ("127.0.0.11", 53))
            for i in range(300):
                made.sendto(DNSRecord.question(f"{i}.example").pack(), ("127.0.0.11", 53))

    await web.namespace.arun(flood)
    await asyncio.sleep(0.1)
    assert len(os.listdir("/proc/self/fd")) < 150, "no more than a hundred queries at once are passed on"
    assert await ask(web.namespace, "web") == ("NOERROR", [web.ip])
    await stop(networks, web)
    for _ in range(200):
        if len(os.listdir("/proc/self/fd")) < 40:
            return
        await asyncio.sleep(0.02)
    pytest.fail("the queries' sockets stay open")


@isolated
async def test_many_addresses_are_truncated_over_udp_and_whole_over_tcp(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    web = await start(networks, record("web", ("app",)))
    for i in range(40):
        await networks.acquire(record(f"db{i}", ("app",), requests={"app": EndpointRequest(aliases=("db",))}))
    assert len((await ask(web.namespace, "db", tcp=True))[1]) == 40
    assert len((await ask(web.namespace, "db"))[1]) < 40


@isolated
async def test_joining_a_user_network_while_running_brings_names(tmp_path):
    networks = await engine(tmp_path)
    app = await networks.create(NetworkRequest("app"))
    db = await start(networks, record("db", ("app",)))
    late = await start(networks, record("late"))
    attachment = await networks.connect(late.record, app, EndpointRequest(aliases=("newcomer",)), "netns")
    assert attachment.resolves and attachment.endpoints["app"].interface == "eth1"
    await carry_out(networks, late.record, late.namespace, attachment)
    assert await ask(late.namespace, "db") == ("NOERROR", [db.ip])
    assert await ask(db.namespace, "newcomer") == ("NOERROR", [attachment.endpoints["app"].ip_address])
    connected = replace(late.record, endpoints=attachment.endpoints)
    gone = await networks.disconnect(connected, app)
    assert list(gone.endpoints) == ["bridge"]
    assert (await ask(db.namespace, "newcomer", timeout=0.3)) in (None, ("SERVFAIL", []), ("NXDOMAIN", []))
    names = late.namespace.run(lambda: [name for _, name in socket.if_nameindex()])
    assert names == ["lo", "eth0"]


@isolated
async def test_a_restarted_daemon_answers_again(tmp_path):
    networks = await engine(tmp_path)
    await networks.create(NetworkRequest("app"))
    web = await start(networks, record("web", ("app",)))
    networks._resolution.close()  # what the kernel does when the daemon is killed
    again = await engine(tmp_path)
    assert again.restore(web.record), "its sockets have to be made again"
    await again.serve_names(web.record, web.namespace.run(child_steps, [dns.SOCKETS]))
    assert await ask(web.namespace, "web") == ("NOERROR", [web.ip])


def _host_resolv_conf(tmp_path, text):
    """Give the host, in this mount namespace, another /etc/resolv.conf."""
    path = tmp_path / "resolv.conf"
    fresh = not path.exists()
    path.write_text(text)
    if fresh:
        subprocess.run(["mount", "--bind", path, os.path.realpath("/etc/resolv.conf")], check=True)
